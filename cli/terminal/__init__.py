"""Terminal output: tables, progress, summaries, and the handling of closed pipes and Ctrl-C."""

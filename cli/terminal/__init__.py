"""What a person sees: tables, progress, summaries; and what happens when the reader leaves or presses Ctrl-C."""

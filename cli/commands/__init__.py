"""The commands, quick to import: what a command works with is imported when it runs."""

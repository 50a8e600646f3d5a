"""The commands. Each module is quick to import: a command imports what it needs when it runs."""

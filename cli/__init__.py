"""The `rivo` command."""

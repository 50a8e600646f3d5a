"""Targets: databases, lakes and folders that get a copy of the published warehouse after each sync."""

"""Errors of the export, with a hint for the user."""

from __future__ import annotations


class ExportError(Exception):
    """The export cannot use its folder. The message says why and what to do next."""

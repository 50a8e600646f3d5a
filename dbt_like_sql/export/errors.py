"""Errors of the export, with a hint for the user."""

from __future__ import annotations

from dbt_like_sql.runner.errors import ProjectError


class ExportError(ProjectError):
    """The project cannot be exported, or not into this folder. The message says why and what to do next."""

"""Result of building one node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dbt_like_sql.runner.checking import TestResult


@dataclass(frozen=True)
class NodeResult:
    """Result of building one seed or model.

    `status` is 'success', 'error' (it could not be built), 'failed' (a blocking test failed), 'skipped' (something
    it needs failed) or 'dropped' (an earlier build created it and no file defines it any more).
    """

    name: str
    schema: str
    kind: Literal["seed", "model", "action"]
    status: Literal["success", "error", "failed", "skipped", "dropped"]
    rows: int | None = None
    seconds: float = 0.0
    message: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    """Name and type of each column; empty unless it was built."""
    tests: tuple[TestResult, ...] = ()
    blocked_by: tuple[str, ...] = ()
    """Names of the failed models and seeds because of which it was skipped."""

    @property
    def relation(self) -> str:
        """Name in SQL: `schema.name`."""
        return f"{self.schema}.{self.name}"

"""Result of building one node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dbt_like_sql.runner.checking import TestResult


@dataclass(frozen=True)
class NodeResult:
    """Result of building one seed or model.

    `status` is 'success', 'unchanged' (nothing that it is built from has changed, so it was left as it is), 'error' (it
    could not be built), 'failed' (a blocking test failed), 'skipped' (something it needs failed) or 'dropped' (an
    earlier build created it and no file defines it any more).
    """

    name: str
    schema: str
    kind: Literal["seed", "model", "action"]
    status: Literal["success", "unchanged", "error", "failed", "skipped", "dropped"]
    rows: int | None = None
    """Number of rows of a table; None for a view, whose rows are only made when it is read."""
    seconds: float = 0.0
    message: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    """Name and type of each column; empty unless it was built."""
    tests: tuple[TestResult, ...] = ()
    """Results of its tests; those of an earlier build if none ran in this one."""
    is_tested: bool = False
    """Whether its tests ran in this build."""
    inputs: str = ""
    """Fingerprint of what it was built from; empty if it was not, or if its rows depend on more than tables."""
    tested: str = ""
    """Fingerprint of its tests and of the other tables that they read."""
    blocked_by: tuple[str, ...] = ()
    """Names of the failed models and seeds because of which it was skipped."""

    @property
    def is_good(self) -> bool:
        """Whether the table is as its file defines it, and passed its blocking tests."""
        return self.status in ("success", "unchanged")

    @property
    def relation(self) -> str:
        """Name in SQL: `schema.name`."""
        return f"{self.schema}.{self.name}"

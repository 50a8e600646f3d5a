"""What a build says of each node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dbt_like_sql.runner.checking import TestResult


@dataclass(frozen=True)
class NodeResult:
    """How one seed or model went: built, broken by its SQL, failed by a test, not tried, or no more there."""

    name: str
    schema: str
    kind: Literal["seed", "model"]
    status: Literal["success", "error", "failed", "skipped", "dropped"]
    """'dropped': an earlier build made it, and no file of the project does any more."""
    rows: int | None = None
    seconds: float = 0.0
    message: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    """Name and type of each column of the new version."""
    tests: tuple[TestResult, ...] = ()
    blocked_by: tuple[str, ...] = ()
    """If it was skipped: the models and seeds because of which."""

    @property
    def relation(self) -> str:
        """Its name in SQL."""
        return f"{self.schema}.{self.name}"

"""How a publication to one target ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Publication:
    """How a publication to one target ended: `problem` is a sentence if it failed, and the counts are then 0."""

    target: str
    observed_at: datetime | None = None
    written: int = 0
    """Number of tables that were written."""
    unchanged: int = 0
    """Number of tables that were left as they are, because nothing in them has changed."""
    rows: int = 0
    """Number of rows that were written."""
    seconds: float = 0
    problem: str = ""
    notes: tuple[str, ...] = ()

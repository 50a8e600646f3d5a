"""The result of a kind of torture: one row of the table."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Figures:
    """One row of the table. `problems` must be empty."""

    kind: str
    checked: str
    runs: int = 0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)
    """Broken promises, in words; lost and duplicated rows included."""
    seen: Counter[str] = field(default_factory=Counter)
    """The errors that users were shown, with their numbers."""
    notes: list[str] = field(default_factory=list)
    """Other figures worth a line."""
    seconds: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    def add(self, verdict: Verdict, where: str) -> None:
        """Add a verdict of the judge."""
        self.lost += verdict.lost
        self.doubled += verdict.doubled
        self.problems += [f"{where}: {said}"[:400] for said in verdict.said]

    def must(self, holds: bool, otherwise: str) -> None:
        """Note a broken promise unless it holds."""
        if not holds:
            self.problems.append(otherwise[:400])

    def end(self) -> Figures:
        """Stop the clock."""
        self.seconds = time.monotonic() - self._started
        return self


@dataclass
class Verdict:
    """The judge's findings on one file."""

    lost: int = 0
    doubled: int = 0
    said: list[str] = field(default_factory=list)


def table(rows: Iterable[Figures]) -> str:
    """Format the rows as a Markdown table, followed by notes and broken promises."""
    rows = list(rows)
    lines = [
        "| kind | runs | checked | lost | doubled | errors seen | broken promises | seconds |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.kind} | {r.runs:,} | {r.checked} | {r.lost} | {r.doubled} | {r.seen.total()} "
        f"| {len(r.problems)} | {r.seconds:.0f} |"
        for r in rows
    ]
    for row in rows:
        lines += [f"{row.kind}: {note}" for note in row.notes]
        lines += [f"{row.kind} BROKEN: {problem}" for problem in row.problems]
    return "\n".join(lines)

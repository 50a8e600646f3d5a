"""Tables and names as a terminal shows them; quick to import, unlike what runs a sync."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text


def result_table(columns: list[str], rows: list[tuple]) -> Table:
    """A query's result as a readable table; numbers to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, name in enumerate(columns):
        numeric = all(
            isinstance(row[index], int | float)
            or row[index] is None
            or type(row[index]).__name__ == "Decimal"
            for row in rows
        )
        table.add_column(Text(name), justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else _shown(value)) for value in row))
    return table


def short(path: Path) -> str:
    """A path as one types it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""Prints tables, paths and counts on a terminal. Quick to import, since `rivo query` needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.terminal.pipes import QuietConsole
from cli.terminal.printable import printable

if TYPE_CHECKING:
    from pipelines.warehouse import Warehouse

_UNBROKEN = 10_000
"""Console width for files and pipes, so that lines are not wrapped."""
_GAP = 3
_NARROWEST = 24
"""Minimum width of a text column. Where a table does not fit with it, rows are shown one below the other."""
_RECORDS = 20
"""Maximum number of rows shown one below the other."""


def terminal() -> Console:
    """Return a console for standard output: as wide as the terminal, without wrapping in a file or pipe."""
    # A character that the terminal's encoding lacks must not cause an error.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    is_terminal = sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR"))
    return QuietConsole(width=None if is_terminal else _UNBROKEN)


def print_result(console: Console, columns: list[str], rows: Sequence[tuple]) -> int:
    """Print rows as a table, or one below the other if it is too wide, and return the number of rows shown."""
    table = result_table(columns, rows)
    narrowest = sum(column.min_width or 0 for column in table.columns) + _GAP * (len(columns) - 1)
    if narrowest <= console.width:
        console.print(table)
        return len(rows)
    for number, row in enumerate(rows[:_RECORDS], 1):
        console.print(f"── row {number} ──", style="dim", highlight=False)
        record = Table.grid(padding=(0, 2, 0, 0))
        record.add_column(no_wrap=True, max_width=max(console.width // 2, _NARROWEST))
        record.add_column(overflow="fold")
        for name, value in zip(columns, row, strict=True):
            record.add_row(Text(printable(name), style="bold"), _cell(value))
        console.print(record)
    return min(len(rows), _RECORDS)


def result_table(columns: list[str], rows: Sequence[tuple]) -> Table:
    """Lay out a query result as a table, with numbers right-aligned."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
        cells = [_cell(row[index]) for row in rows]
        widest = max([len(name), *(cell.cell_len for cell in cells)])
        table.add_column(
            Text(printable(name)),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=numeric,
            min_width=widest if numeric else min(widest, _NARROWEST),
        )
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def plain(text: str) -> str:
    """Return a text for the console as it is: nothing in it is markup, or controls the terminal."""
    return escape(printable(text))


def short(place: Path | Warehouse) -> str:
    """Return a path, or a warehouse's name, relative to the current folder where it lies in it."""
    path = Path(str(place))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(place)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: '1 row', '2,000 rows'."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def _cell(value: object) -> Text:
    return Text("" if value is None else printable(_shown(value)))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.2f}" if 1_000 <= abs(value) < 1e15 else f"{value:.4g}"
    return str(value)

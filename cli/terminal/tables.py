"""Prints tables, paths and counts on a terminal. Quick to import, since `rivo query` needs it."""

from __future__ import annotations

import os
import re
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
_SHORTEST = 16
"""Minimum width of a text that is shortened."""
_RECORDS = 20
"""Maximum number of rows shown one below the other."""

_ID = re.compile(r"(?!count\().*(?<![^\W_])ids?(?![^\W_])", re.IGNORECASE)
_YEAR = re.compile(r"(?<![^\W_])year(?![^\W_])", re.IGNORECASE)
_YEARS = range(1900, 2200)


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
    plain_ones = _without_marks(columns, rows)
    for number, row in enumerate(rows[:_RECORDS], 1):
        console.print(f"── row {number} ──", style="dim", highlight=False)
        record = Table.grid(padding=(0, 2, 0, 0))
        record.add_column(no_wrap=True, max_width=max(console.width // 2, _NARROWEST))
        record.add_column(overflow="fold")
        for index, (name, value) in enumerate(zip(columns, row, strict=True)):
            record.add_row(Text(printable(name), style="bold"), _cell(value, is_plain=index in plain_ones))
        console.print(record)
    return min(len(rows), _RECORDS)


def result_table(columns: list[str], rows: Sequence[tuple]) -> Table:
    """Lay out a query result as a table, with numbers right-aligned and with thousands marks, but for ids and years."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    plain_ones = _without_marks(columns, rows)
    lines = [[_cell(value, is_plain=n in plain_ones) for n, value in enumerate(row)] for row in rows]
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
        widest = max([len(name), *(line[index].cell_len for line in lines)])
        table.add_column(
            Text(printable(name)),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=numeric,
            min_width=widest if numeric else min(widest, _NARROWEST),
        )
    for line in lines:
        table.add_row(*line)
    return table


def shortened(rows: Sequence[tuple], columns: list[str], width: int) -> list[tuple]:
    """Shorten the last column, so that the table needs one line for each row on a terminal of this width."""
    taken = sum(
        max([len(name), *(_cell(row[index], is_plain=False).cell_len for row in rows)]) + _GAP
        for index, name in enumerate(columns[:-1])
    )
    room = max(width - taken, _SHORTEST)
    return [
        (*row[:-1], f"{row[-1][: room - 1]}…" if row[-1] and len(row[-1]) > room else row[-1]) for row in rows
    ]


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


def first_sentence(text: str) -> str:
    """Return the first sentence of a description."""
    flat = " ".join(text.split())
    found = re.match(r".+?[.!?:](?= |$)", flat)
    return f"{found[0][:-1]}." if found and found[0].endswith(":") else found[0] if found else flat


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def _without_marks(columns: list[str], rows: Sequence[tuple]) -> set[int]:
    """Return the positions of the columns whose numbers are names rather than amounts: ids and years."""
    return {
        index
        for index, name in enumerate(columns)
        if _ID.match(name) or (_YEAR.search(name) and all(_may_be_year(row[index]) for row in rows))
    }


def _may_be_year(value: object) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and value in _YEARS)


def _cell(value: object, *, is_plain: bool) -> Text:
    return Text("" if value is None else printable(_shown(value, is_plain=is_plain)))


def _shown(value: object, *, is_plain: bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        is_large = 1_000 <= abs(value) < 1e18
        return f"{value:.4g}" if not is_large else f"{value:.2f}" if is_plain else f"{value:,.2f}"
    if isinstance(value, int | Decimal) and not is_plain:
        return f"{value:,}"
    return str(value)

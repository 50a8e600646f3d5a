"""The first rows of an example query, as texts for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

_KEYS = ("_id", "year")
"""Endings of the names of whole numbers that are no amounts: they get no thousands marks."""


@dataclass(frozen=True)
class Answer:
    """Rows that an example query returns, or a sentence that says why they are left out."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()
    is_all: bool = True
    """Whether the query returns no further rows."""
    note: str = ""


def shown(answer: Answer) -> dict[str, Any]:
    """Return an answer as data of the page, with a text for each value."""
    values = [[row[index] for row in answer.rows] for index in range(len(answer.columns))]
    texts = [_texts(name, column) for name, column in zip(answer.columns, values, strict=True)]
    return {
        "columns": list(answer.columns),
        "numeric": [any(map(_is_number, column)) for column in values],
        "rows": [list(row) for row in zip(*texts, strict=True)],
        "is_all": answer.is_all,
        "note": answer.note,
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _texts(name: str, column: Sequence[object]) -> list[str]:
    """Return the values of a column as texts. All numbers of a column have the same number of decimals."""
    numbers = [float(value) for value in column if isinstance(value, int | float | Decimal)]
    is_whole = all(number.is_integer() for number in numbers)
    decimals = 0 if is_whole else 2 if max(map(abs, numbers)) > 1 else 4
    return [_text(name, value, decimals) for value in column]


def _text(name: str, value: object, decimals: int) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal):
        return str(value) if name.endswith(_KEYS) else f"{value:,.{decimals}f}"
    if isinstance(value, datetime):
        # date_trunc returns a time at midnight, without a zone.
        is_day = value.tzinfo is None and value == datetime.combine(value.date(), datetime.min.time())
        return f"{value:%Y-%m-%d}" if is_day else f"{value:%Y-%m-%d %H:%M}"
    return str(value)

"""Rows of a model in the published file and in an engine, as sets with one form for each value."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from dbt_like_sql.runner import Project

TOLERANCE = 1e-9
"""Largest difference of two numbers that count as equal, of the larger one."""
Row = tuple[Any, ...]


class Local:
    """The models as the runner of this project built them, in memory: the file is open to others again."""

    def __init__(self, file: Path, project: Project) -> None:
        self._columns: dict[str, list[str]] = {}
        self._rows: dict[str, list[Row]] = {}
        with duckdb.connect(str(file), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            for model in project.models:
                cursor = connection.execute(f"select * from {model.relation}")
                self._columns[model.relation] = [column[0] for column in cursor.description or ()]
                self._rows[model.relation] = cursor.fetchall()
            warned = connection.execute(
                "select test_name from meta.test_results where status = 'warn'"
            ).fetchall()
            self.warned = frozenset(name for (name,) in warned)
            """Names of the tests with severity warn that failed."""

    def columns(self, relation: str) -> list[str]:
        return self._columns[relation]

    def rows(self, relation: str) -> list[Row]:
        return self._rows[relation]


def difference(columns: Sequence[str], ours: Iterable[Row], theirs: Iterable[Row]) -> str:
    """Return the first difference of two sets of rows, in words; empty if there is none."""
    left, right = (sorted((tuple(map(plain, row)) for row in rows), key=_order) for rows in (ours, theirs))
    if len(left) != len(right):
        return f"{len(left)} rows here, {len(right)} rows there"
    for one, other in zip(left, right, strict=True):
        wrong = [
            f"{name} {a!r} here, {b!r} there"
            for name, a, b in zip(columns, one, other, strict=True)
            if not _equal(a, b)
        ]
        if wrong:
            return "; ".join(wrong[:4])
    return ""


def plain(value: Any) -> Any:
    """Return a number as float, an instant or a day as naive time in UTC, JSON as canonical text."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a day has no zone
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    return value


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return type(one) is type(other) and bool(one == other)


def _order(row: Row) -> tuple[Any, ...]:
    # Rounded, so that numbers that count as equal are at the same place.
    return tuple(
        (type(value).__name__, round(value, 6) if isinstance(value, float) else str(value)) for value in row
    )


def built_models(project: Project, left_out: Iterable[str]) -> list[str]:
    """Return the names in SQL of the models that an engine has built."""
    missing = set(left_out)
    return [model.relation for model in project.models if model.name not in missing]

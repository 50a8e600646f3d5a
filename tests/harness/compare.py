"""What a row of the warehouse must hold, worked out from the API's object without the product's own decoder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pipelines.rivo.columns import Column, Endpoint

Object = dict[str, Any]
"""A row as the API answers it."""
Row = dict[str, Any]
"""A row of the warehouse, by column."""


def moment(text: str | None) -> datetime | None:
    """Read a time as the API writes it."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _follow(attributes: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        attributes = attributes.get(step) if isinstance(attributes, dict) else None
    return attributes


def expected(column: Column, obj: Object) -> Any:
    """Return the value that a declared column must hold for an object of the API."""
    if column.name == "id":
        return obj["id"]
    attributes = obj["attributes"]
    value = attributes.get(column.name)
    for alias in column.aliases:
        value = attributes.get(alias) if value is None else value
    if value is None and column.fallback:
        value = _follow(attributes, (column.fallback, "id"))
    if value is None:
        return None
    match column.type:
        case "timestamp":
            return moment(value)
        case "decimal":
            return Decimal(str(value)).quantize(Decimal("0.0001"))
        case "scalar":
            return value if isinstance(value, str) else json.dumps(value)
        case "double":
            return float(value)
        case _:
            return value


def found(column: Column, row: Row) -> Any:
    """Return the value that a declared column holds in a row of the warehouse, with JSON parsed."""
    value = row[column.name]
    return json.loads(value) if column.type == "json" and value is not None else value


def differences(endpoint: Endpoint, rows: dict[int, Row], objects: dict[int, Object]) -> list[str]:
    """Compare a raw table with the API's objects, both by id, and describe each attribute that differs."""
    missing, surplus = objects.keys() - rows.keys(), rows.keys() - objects.keys()
    problems = [f"{endpoint.name}: missing {sorted(missing)[:5]}"] * bool(missing)
    problems += [f"{endpoint.name}: too many {sorted(surplus)[:5]}"] * bool(surplus)
    for id in rows.keys() & objects.keys():
        for column in endpoint.columns:
            want, have = expected(column, objects[id]), found(column, rows[id])
            if want != have or type(want) is not type(have):
                problems.append(f"{endpoint.name} {id} {column.name}: {have!r} instead of {want!r}")
    return problems

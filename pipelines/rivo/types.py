"""The column types of raw tables: what each is in DuckDB, Arrow, dlt and JSON, and how a JSON value is read.

One row a type in `TYPES`, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from types import NoneType
from typing import Any

import msgspec
import orjson
import pyarrow as pa

from pipelines.rivo.columns import Column, ColumnType

_LONGEST_REMEMBERED = 500
"""JSON texts up to this length are remembered in their sorted form."""
_SMALLEST_STEP = Decimal("0.0001")
_LARGEST_DECIMAL = Decimal(10) ** 14 - _SMALLEST_STEP / 2
_SMALLEST_INT, _LARGEST_INT = -(2**63), 2**63 - 1
LARGEST_QUANTITY = 10**12 - 1
"""Models hold points as DECIMAL(18,4), and add up many: one absurd number must not stop them all."""


def _parse_bigint(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("is not a whole number")
    if not _SMALLEST_INT <= value <= _LARGEST_INT:
        raise ValueError("is too large")
    return value


def _parse_quantity(value: Any) -> int:
    number = _parse_bigint(value)
    if abs(number) > LARGEST_QUANTITY:
        raise ValueError("is too large")
    return number


def _parse_id(value: Any) -> int:
    is_digits = isinstance(value, str) and value.isascii() and value.isdigit()
    # More than a thousand digits Python would not even read; twenty are too many already.
    return _parse_bigint(int(value[:20]) if is_digits else value)


def _parse_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is not text")
    return value


def _parse_scalar(value: Any) -> str:
    if isinstance(value, dict | list):
        raise ValueError("is not a single value")
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _parse_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")
    return value


def _parse_timestamp(value: Any) -> datetime | None:
    if not isinstance(value, str):
        raise ValueError("is not a date and time")
    if not value.strip():
        return None
    try:
        # Ruby writes a time that nobody formatted as "2026-08-17 21:51:37 UTC" or "... +0200".
        text = value.strip().replace(" UTC", "Z").replace(" +", "+").replace(" -", "-")
        parsed = datetime.fromisoformat(text)
        # Rivo's times are UTC; one without a zone is one of them.
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a possible date and time") from None


def _parse_decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is not a number")
    if isinstance(value, str) and not value.strip():
        return None
    try:
        # str() of a float is the shortest text that means it, so 290.16 stays 290.16.
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError("is not a number") from None
    if not number.is_finite():
        raise ValueError("is not a number")
    if abs(number) >= _LARGEST_DECIMAL:
        raise ValueError("is too large")
    return number.quantize(_SMALLEST_STEP, ROUND_HALF_EVEN)


def _parse_double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("is not a number")
    return float(value)


def _parse_json(value: Any) -> bytes:
    if isinstance(value, bytes):
        return _sorted_known(value) if len(value) <= _LONGEST_REMEMBERED else _sorted(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _sorted(text: bytes) -> bytes:
    # Sorted keys: the same object in another order is not a change.
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        # A number beyond what a double holds.
        return text


_sorted_known = lru_cache(maxsize=4096)(_sorted)
"""Tags, rule ids and the like are the same in many rows."""


@dataclass(frozen=True)
class TypeFacts:
    """What one column type is in each of the systems that a value passes through."""

    duckdb: str
    arrow: pa.DataType
    dlt: dict[str, Any]
    """dlt's column hints."""
    decoded: Any
    """The Python types that msgspec decodes a JSON value of this type into."""
    at_once: frozenset[type]
    """The Python types of which a whole column is converted at once, without a look at each value."""
    parse: Callable[[Any], Any]
    """Returns a JSON value, not null, as the type's Python value, or raises ValueError: what it is not."""


TYPES: dict[ColumnType, TypeFacts] = {
    "bigint": TypeFacts(
        "BIGINT", pa.int64(), {"data_type": "bigint"}, int | None, frozenset({int, NoneType}), _parse_bigint
    ),
    "quantity": TypeFacts(
        "BIGINT", pa.int64(), {"data_type": "bigint"}, int | None, frozenset({int, NoneType}), _parse_quantity
    ),
    "id": TypeFacts(
        "BIGINT", pa.int64(), {"data_type": "bigint"}, int | str | None, frozenset({int, NoneType}), _parse_id
    ),
    "text": TypeFacts(
        "VARCHAR", pa.string(), {"data_type": "text"}, str | None, frozenset({str, NoneType}), _parse_text
    ),
    "scalar": TypeFacts(
        "VARCHAR",
        pa.string(),
        {"data_type": "text"},
        str | int | float | bool | None,
        frozenset({str, NoneType}),
        _parse_scalar,
    ),
    "bool": TypeFacts(
        "BOOLEAN", pa.bool_(), {"data_type": "bool"}, bool | None, frozenset({bool, NoneType}), _parse_bool
    ),
    "timestamp": TypeFacts(
        "TIMESTAMP WITH TIME ZONE",
        pa.timestamp("us", tz="UTC"),
        {"data_type": "timestamp"},
        str | None,
        frozenset({str, NoneType}),
        _parse_timestamp,
    ),
    # Four decimal places: no currency has more. Never floating point.
    "decimal": TypeFacts(
        "DECIMAL(18,4)",
        pa.decimal128(18, 4),
        {"data_type": "decimal", "precision": 18, "scale": 4},
        int | float | str | None,
        frozenset({str, int, float, NoneType}),
        _parse_decimal,
    ),
    "double": TypeFacts(
        "DOUBLE",
        pa.float64(),
        {"data_type": "double"},
        float | None,
        frozenset({float, NoneType}),
        _parse_double,
    ),
    "json": TypeFacts("JSON", pa.string(), {"data_type": "json"}, msgspec.Raw, frozenset(), _parse_json),
}
"""The column types by name. Of two with the same DuckDB type, the first takes any value that the type can hold."""


def duckdb_type(column: Column) -> str:
    """Return the DuckDB type of a column, as `information_schema.columns` spells it."""
    return TYPES[column.type].duckdb


def type_of_duckdb(kind: str) -> ColumnType:
    """Return the column type for a column that DuckDB has; text where there is none."""
    return next((name for name, facts in TYPES.items() if facts.duckdb == kind), "text")


def dlt_hints(column: Column) -> Any:
    """Return dlt's hints for a column: type, description, and whether it may be null (only a required id may not)."""
    return {
        **TYPES[column.type].dlt,
        "description": column.description,
        "nullable": not (column.name == "id" and column.required),
    }


def natural_type(values: Sequence[Any]) -> ColumnType:
    """The narrowest column type that holds all of these non-null JSON values."""
    kinds = set(map(type, values))
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "bigint" if all(_SMALLEST_INT <= value <= _LARGEST_INT for value in values) else "double"
    if kinds <= {int, float}:
        return "double"
    if kinds == {str}:
        return "timestamp" if all(map(looks_like_time, values)) else "text"
    return "json"


def looks_like_time(value: str) -> bool:
    """Whether a text is an ISO 8601 date and time."""
    try:
        return len(value) >= 19 and value[10:11] == "T" and _parse_timestamp(value) is not None
    except ValueError:
        return False

"""The column types of raw tables: the type of each in DuckDB, Arrow and dlt, and how to read its JSON values.

`TYPES` is the only place that defines them, with one entry per type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import cache, lru_cache
from types import NoneType
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from pipelines.rivo.columns import Column, ColumnType
from pipelines.rivo.repair import TOO_DEEP, is_too_deep

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST_REMEMBERED = 500
"""Maximum length, in bytes, of the JSON texts whose sorted form is cached."""
_SMALLEST_STEP = Decimal("0.0001")
_LARGEST_DECIMAL = Decimal(10) ** 14 - _SMALLEST_STEP / 2
_END_OF_DAY = re.compile(r"(\d{4}-\d\d-\d\d[T ])24(?=:00(:00([.,]0+)?)?([Z+-]|$))")
_LEAP_SECOND = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:)60")
_SMALLEST_INT, _LARGEST_INT = -(2**63), 2**63 - 1
LARGEST_QUANTITY = 10**12 - 1
"""Largest absolute value of a quantity. Models sum points as DECIMAL(18,4), which one absurd number must not exceed."""


def _parse_bigint(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("is not a whole number")
    if not _SMALLEST_INT <= value <= _LARGEST_INT:
        raise ValueError("is out of range")
    return value


def _parse_quantity(value: Any) -> int:
    number = _parse_bigint(value)
    if abs(number) > LARGEST_QUANTITY:
        raise ValueError("is out of range")
    return number


def _parse_id(value: Any) -> int:
    is_digits = isinstance(value, str) and value.isascii() and value.isdigit()
    # Python refuses to convert thousands of digits; 20 are already too many for 64 bits.
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
        # The default format of times in Ruby is "2026-08-17 21:51:37 UTC" or "... +0200".
        text = value.strip().upper().replace(" UTC", "Z").replace(" +", "+").replace(" -", "-")
        # ISO 8601 has two times that Python does not read: the end of a day, and a leap second.
        later = timedelta(0)
        if end := _END_OF_DAY.match(text):
            text, later = f"{end[1]}00{text[end.end() :]}", timedelta(days=1)
        elif leap := _LEAP_SECOND.match(text):
            text, later = f"{leap[1]}59{text[leap.end() :]}", timedelta(seconds=1)
        parsed = datetime.fromisoformat(text) + later
        # Rivo documents UTC, so a time without a zone is UTC too.
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a possible date and time") from None


def _parse_decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is not a number")
    if isinstance(value, str) and not value.strip():
        return None
    try:
        # str() of a float is the shortest decimal that converts back to it, so 290.16 stays 290.16.
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError("is not a number") from None
    if not number.is_finite():
        raise ValueError("is not a number")
    if abs(number) >= _LARGEST_DECIMAL:
        raise ValueError("is out of range")
    return number.quantize(_SMALLEST_STEP, ROUND_HALF_EVEN)


def _parse_double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("is not a number")
    return float(value)


def _parse_json(value: Any) -> bytes:
    try:
        if not isinstance(value, bytes):
            value = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        elif not is_too_deep(value):
            return _sorted_known(value) if len(value) <= _LONGEST_REMEMBERED else _sorted(value)
    except orjson.JSONEncodeError:
        raise ValueError(TOO_DEEP) from None
    if is_too_deep(value):
        raise ValueError(TOO_DEEP)
    return value


def _sorted(text: bytes) -> bytes:
    # With sorted keys, the same object with its keys in another order does not count as changed.
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        # The text contains a number outside the range of a double.
        return text


_sorted_known = lru_cache(maxsize=4096)(_sorted)
"""`_sorted` with a cache, since values such as tags and rule ids repeat in many rows."""


@dataclass(frozen=True)
class TypeFacts:
    """The type of a column in each of the systems that its values pass through."""

    duckdb: str
    arrow_type: tuple[Any, ...]
    """The function of pyarrow that makes the type, and its arguments."""
    dlt: dict[str, Any]
    """dlt's column hints."""
    decoded: Any
    """Annotation with which msgspec decodes a JSON value of this type."""
    at_once: frozenset[type]
    """Python types whose values Arrow converts a column at a time, without parsing each value."""
    parse: Callable[[Any], Any]
    """Converts a JSON value other than null to Python; raises ValueError with the reason, such as "is not text"."""

    @property
    def arrow(self) -> pa.DataType:
        """The type in Arrow."""
        return _arrow(*self.arrow_type)


@cache
def _arrow(name: str, *arguments: Any) -> pa.DataType:
    # Imported here, since commands that only read the warehouse need no Arrow, and it takes long to import.
    import pyarrow

    return getattr(pyarrow, name)(*arguments)


TYPES: dict[ColumnType, TypeFacts] = {
    "bigint": TypeFacts(
        "BIGINT", ("int64",), {"data_type": "bigint"}, int | None, frozenset({int, NoneType}), _parse_bigint
    ),
    "quantity": TypeFacts(
        "BIGINT", ("int64",), {"data_type": "bigint"}, int | None, frozenset({int, NoneType}), _parse_quantity
    ),
    "id": TypeFacts(
        "BIGINT", ("int64",), {"data_type": "bigint"}, int | str | None, frozenset({int, NoneType}), _parse_id
    ),
    "text": TypeFacts(
        "VARCHAR", ("string",), {"data_type": "text"}, str | None, frozenset({str, NoneType}), _parse_text
    ),
    "scalar": TypeFacts(
        "VARCHAR",
        ("string",),
        {"data_type": "text"},
        str | int | float | bool | None,
        frozenset({str, NoneType}),
        _parse_scalar,
    ),
    "bool": TypeFacts(
        "BOOLEAN", ("bool_",), {"data_type": "bool"}, bool | None, frozenset({bool, NoneType}), _parse_bool
    ),
    "timestamp": TypeFacts(
        "TIMESTAMP WITH TIME ZONE",
        ("timestamp", "us", "UTC"),
        {"data_type": "timestamp"},
        str | None,
        frozenset({str, NoneType}),
        _parse_timestamp,
    ),
    # No currency has more than four decimal places, and sums of money must be exact.
    "decimal": TypeFacts(
        "DECIMAL(18,4)",
        ("decimal128", 18, 4),
        {"data_type": "decimal", "precision": 18, "scale": 4},
        int | float | str | None,
        frozenset({str, int, float, NoneType}),
        _parse_decimal,
    ),
    "double": TypeFacts(
        "DOUBLE",
        ("float64",),
        {"data_type": "double"},
        float | None,
        frozenset({float, NoneType}),
        _parse_double,
    ),
    "json": TypeFacts("JSON", ("string",), {"data_type": "json"}, msgspec.Raw, frozenset(), _parse_json),
}
"""The column types by name. Of types with the same DuckDB type, the first accepts every value of that type."""


def duckdb_type(column: Column) -> str:
    """Return the DuckDB type of a column, as `information_schema.columns` spells it."""
    return TYPES[column.type].duckdb


def type_of_duckdb(kind: str) -> ColumnType:
    """Return the column type for a DuckDB type; "text" where no column type has it."""
    return next((name for name, facts in TYPES.items() if facts.duckdb == kind), "text")


def dlt_hints(column: Column) -> Any:
    """Return dlt's hints for a column: type, description, and whether it may be null (only a required id may not)."""
    return {
        **TYPES[column.type].dlt,
        "description": column.description,
        "nullable": not (column.name == "id" and column.required),
    }


def natural_type(values: Sequence[Any]) -> ColumnType:
    """Return the narrowest column type that can hold all of these non-null JSON values."""
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
    """Return whether a text is an ISO 8601 date and time."""
    try:
        return len(value) >= 19 and value[10:11] in ("T", "t") and _parse_timestamp(value) is not None
    except ValueError:
        return False

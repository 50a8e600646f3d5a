"""JSON values -> typed Arrow arrays: whole columns at once where they are as they should be.

Only a column that holds something unexpected is looked at value by value, to find what cannot be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from types import NoneType
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.rivo.columns import ColumnType

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "bigint": pa.int64(),
    "quantity": pa.int64(),
    "id": pa.int64(),
    "text": pa.string(),
    "scalar": pa.string(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "decimal": pa.decimal128(18, 4),
    "double": pa.float64(),
    "json": pa.string(),
}

_SMALLEST_STEP = Decimal("0.0001")
_FIRST_MICROSECOND = -62_135_596_800_000_000  # 0001-01-01
_LAST_MICROSECOND = 253_402_300_799_999_999  # 9999-12-31
_LARGEST_DECIMAL = Decimal(10) ** 14 - _SMALLEST_STEP / 2
_LONGEST_REMEMBERED = 500
_SMALLEST_INT, _LARGEST_INT = -(2**63), 2**63 - 1
_LARGEST_QUANTITY = 10**12 - 1
"""Models hold points as DECIMAL(18,4), and add up many: one absurd number must not stop them all."""


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


# The types of JSON values that a whole column may hold to be converted in one go.
_AT_ONCE: dict[ColumnType, frozenset[type]] = {
    "bigint": frozenset({int, NoneType}),
    "quantity": frozenset({int, NoneType}),
    "id": frozenset({int, NoneType}),
    "text": frozenset({str, NoneType}),
    "scalar": frozenset({str, NoneType}),
    "bool": frozenset({bool, NoneType}),
    "timestamp": frozenset({str, NoneType}),
    "decimal": frozenset({str, int, float, NoneType}),
    "double": frozenset({float, NoneType}),
}


def to_array(
    kind: ColumnType, values: Sequence[Any], *, verbatim: bool = False
) -> tuple[pa.Array, dict[int, str]]:
    """Type the JSON values of one column.

    JSON is written one way, so that equal values are equal texts; what comes as bytes is such a text already
    and stays as it is if `verbatim`.

    Returns:
        an array of the type's Arrow type, as long as `values`; and by index what is wrong with the values that
        do not fit ("is not text: 5"), which are null in the array.
    """
    array = _at_once(kind, values, verbatim)
    return (array, {}) if array is not None else _one_by_one(kind, values)


def _at_once(kind: ColumnType, values: Sequence[Any], verbatim: bool) -> pa.Array | None:
    """The whole column in one go, None where a value needs a closer look."""
    target = ARROW_TYPES[kind]
    kinds = set(map(type, values))
    if kinds == {NoneType}:
        return pa.nulls(len(values), target)
    if kind == "json":
        if not (verbatim and kinds <= {bytes, NoneType}):
            values = [None if value is None else _json(value) for value in values]
        return pa.array(values, pa.binary()).cast(target)
    if kind == "scalar" and kinds <= {int, NoneType}:
        kind, values, kinds = "text", [None if value is None else str(value) for value in values], {str}
    elif not kinds <= _AT_ONCE[kind]:
        return None
    try:
        if kind == "timestamp":
            array = pc.cast(pa.array(values, pa.string()), target)
            return array if _has_possible_years(array) else None
        if kind == "decimal":
            texts = values if kinds <= {str, NoneType} else [None if v is None else str(v) for v in values]
            return pc.cast(pa.array(texts, pa.string()), target)
        array = pa.array(values, target)
        return None if kind == "quantity" and not _are_possible_quantities(array) else array
    except (pa.ArrowException, OverflowError):
        return None


def _has_possible_years(array: pa.Array) -> bool:
    """Whether Python, and with it every reader, can represent these timestamps."""
    ends = pc.min_max(array.cast(pa.int64())).as_py()
    return ends["min"] is None or (ends["min"] >= _FIRST_MICROSECOND and ends["max"] <= _LAST_MICROSECOND)


def _are_possible_quantities(array: pa.Array) -> bool:
    ends = pc.min_max(array).as_py()
    return ends["min"] is None or (ends["min"] >= -_LARGEST_QUANTITY and ends["max"] <= _LARGEST_QUANTITY)


def _one_by_one(kind: ColumnType, values: Sequence[Any]) -> tuple[pa.Array, dict[int, str]]:
    parse = _PARSERS[kind]
    parsed: list[Any] = []
    bad: dict[int, str] = {}
    for index, value in enumerate(values):
        try:
            parsed.append(None if value is None else parse(value))
        except ValueError as error:
            bad[index] = f"{error}: {shortened(value)}"
            parsed.append(None)
    return pa.array(parsed, ARROW_TYPES[kind]), bad


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
    if abs(number) > _LARGEST_QUANTITY:
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


def _json(value: Any) -> bytes:
    if isinstance(value, bytes):
        return _sorted_known(value) if len(value) <= _LONGEST_REMEMBERED else _sorted(value)
    # Sorted keys: the same object in another order is not a change.
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _sorted(text: bytes) -> bytes:
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        # A number beyond what a double holds.
        return text


_sorted_known = lru_cache(maxsize=4096)(_sorted)
"""Tags, rule ids and the like are the same in many rows."""


def shortened(value: Any) -> str:
    """A JSON value as text of at most 80 characters, for messages."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."


_PARSERS: dict[ColumnType, Callable[[Any], Any]] = {
    "bigint": _parse_bigint,
    "quantity": _parse_quantity,
    "id": _parse_id,
    "text": _parse_text,
    "scalar": _parse_scalar,
    "bool": _parse_bool,
    "timestamp": _parse_timestamp,
    "decimal": _parse_decimal,
    "double": _parse_double,
}

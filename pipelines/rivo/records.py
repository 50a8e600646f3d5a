"""A page of JSON rows -> a typed Arrow table; rows that cannot be typed are set apart with the reason.

Whole columns are converted at once; only a column that holds something unexpected is looked at value by
value, to find the rows to set apart.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from types import NoneType
from typing import Any
from zlib import crc32

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.rivo.cursor import Row, likely_id, resource_ids
from pipelines.rivo.endpoints import Column, ColumnType

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "bigint": pa.int64(),
    "id": pa.int64(),
    "text": pa.string(),
    "scalar": pa.string(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "decimal": pa.decimal128(18, 4),
    "double": pa.float64(),
    "json": pa.string(),
}

UNDECLARED = "Not declared by this release; as Rivo sends it."
MISFIT = "_misfit"
_SMALLEST_STEP = Decimal("0.0001")
_FIRST_MICROSECOND = -62_135_596_800_000_000  # 0001-01-01
_LAST_MICROSECOND = 253_402_300_799_999_999  # 9999-12-31
_LARGEST_DECIMAL = Decimal(10) ** 14 - _SMALLEST_STEP / 2
_SMALLEST_INT, _LARGEST_INT = -(2**63), 2**63 - 1
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True)
class Rejected:
    """A row set apart: its (likely) id where it has one, why, and the whole row as JSON."""

    id: int | None
    reason: str
    row: str


def to_table(columns: Sequence[Column], rows: list[Row]) -> tuple[pa.Table, list[Rejected]]:
    """Type the rows of a page.

    Args:
        columns: what to read from each row, `id` first.
        rows: resource objects `{"id": ..., "type": ..., "attributes": {...}}`.

    Returns:
        a table with exactly these columns and one row a good row, in order; and the rows set apart.
    """
    rejected: list[Rejected] = []
    good: list[Row] = []
    for row, row_id in zip(rows, resource_ids(rows), strict=True):
        if not isinstance(row, dict) or not isinstance(row.get("attributes"), dict):
            rejected.append(_reject(row, "the row is not an object with attributes"))
        elif row_id is None:
            rejected.append(_reject(row, "the row has no usable id"))
        else:
            good.append(row)
    arrays, bad = _convert(columns, good)
    if bad:
        rejected += [_reject(good[index], reason) for index, reason in sorted(bad.items())]
        arrays, bad = _convert(columns, [row for index, row in enumerate(good) if index not in bad])
        assert not bad, "rows that were good in the first pass are good in the second"
    return pa.table(
        dict(zip([c.name for c in columns], arrays, strict=True)), schema=schema(columns)
    ), rejected


def schema(columns: Iterable[Column]) -> pa.Schema:
    """The Arrow schema of these columns."""
    return pa.schema([pa.field(column.name, ARROW_TYPES[column.type]) for column in columns])


def undeclared(columns: Iterable[Column], rows: list[Row]) -> list[Column]:
    """Columns for the attributes that no column reads, typed by the values of these rows.

    An attribute that is null in all of these rows is left until a value shows its type. Where values do not
    fit the column that an undeclared attribute has got, a second column for these is among them.
    """
    known = {"id"}
    for column in columns:
        known.update((column.path[0] if column.path else column.name, column.name, *column.aliases))
    attributes = [
        row["attributes"] for row in rows if isinstance(row, dict) and isinstance(row.get("attributes"), dict)
    ]
    names = sorted(set().union(*attributes) - known) if attributes else []
    found: list[Column] = []
    for name in names:
        values = [value for value in (a.get(name) for a in attributes) if value is not None]
        if values:
            own = column_name(name)
            path = () if own == name else (name,)
            found.append(Column(own, natural_type(values), UNDECLARED, path=path, lenient=True))
    taken = {column.name for column in columns}
    readable = [row for row in rows if isinstance(row, dict) and isinstance(row.get("attributes"), dict)]
    for column in columns:
        other = misfit_column(column)
        if (
            column.lenient
            and other.name not in taken
            and any(value is not None for value in _values(other, readable))
        ):
            found.append(other)
    return found


def misfit_column(column: Column) -> Column:
    """The column beside an undeclared attribute's own one, for its values of other types."""
    about = f"Values of {column.name} that do not fit its type; as Rivo sends them."
    path = column.path or (column.name,)
    return Column(f"{column.name}{MISFIT}", "json", about, path=path, misfit_of=column.type)


def column_name(attribute: str) -> str:
    """The column of an undeclared attribute: its own name, or a lasting one made of it where that cannot be.

    Plain snake case alone means the same to Rivo, to DuckDB, which does not tell capitals, and to dlt,
    which rewrites names; a name like `_deleted_at` is not the API's to set.
    """
    if _PLAIN_NAME.fullmatch(attribute):
        return attribute
    words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", attribute).lower())
    return "_".join(["attribute", *words, f"{crc32(attribute.encode()):08x}"])


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
        return "timestamp" if all(map(_looks_like_time, values)) else "text"
    return "json"


def _looks_like_time(value: str) -> bool:
    try:
        return len(value) >= 19 and value[10:11] == "T" and _parse_timestamp(value) is not None
    except ValueError:
        return False


def _convert(columns: Sequence[Column], rows: list[Row]) -> tuple[list[pa.Array], dict[int, str]]:
    """Arrays in the order of the columns, and the reason why by index for rows that must be set apart."""
    bad: dict[int, str] = {}
    arrays = []
    for column in columns:
        values = _values(column, rows)
        array = _fast(column.type, values)
        if array is None:
            array = _slow(column, values, {} if column.lenient else bad)
        if column.required and array.null_count:
            for index, missing in enumerate(array.is_null().to_pylist()):
                if missing:
                    bad.setdefault(index, f"{column.name} is missing")
        arrays.append(array)
    return arrays, bad


def _values(column: Column, rows: list[Row]) -> list[Any]:
    if column.name == "id":
        return list(resource_ids(rows))
    if column.path:
        values = [_nested(row["attributes"], column.path) for row in rows]
        kind = column.misfit_of
        return values if kind is None else _misfits(kind, values)
    name = column.name
    values = [row["attributes"].get(name) for row in rows]
    if column.aliases or column.fallback:
        for index, value in enumerate(values):
            if value is None:
                attributes = rows[index]["attributes"]
                values[index] = next(
                    (attributes[alias] for alias in column.aliases if attributes.get(alias) is not None),
                    _nested(attributes, column.fallback) if column.fallback else None,
                )
    return values


def _misfits(kind: ColumnType, values: list[Any]) -> list[Any]:
    """The values that do not fit a type, null in place of the others."""
    bad: dict[int, str] = {}
    if _fast(kind, values) is None:
        _slow(Column("", kind, ""), values, bad)
    return [value if index in bad else None for index, value in enumerate(values)]


def _nested(value: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


# The types of JSON values that a whole column may hold to be converted in one go.
_FAST: dict[ColumnType, frozenset[type]] = {
    "bigint": frozenset({int, NoneType}),
    "id": frozenset({int, NoneType}),
    "text": frozenset({str, NoneType}),
    "scalar": frozenset({str, NoneType}),
    "bool": frozenset({bool, NoneType}),
    "timestamp": frozenset({str, NoneType}),
    "decimal": frozenset({str, int, float, NoneType}),
    "double": frozenset({float, NoneType}),
}


def _fast(kind: ColumnType, values: list[Any]) -> pa.Array | None:
    """The whole column in one go, None where a value needs a closer look."""
    if kind == "json":
        return pa.array([_parse_json(value) for value in values], pa.string())
    kinds = set(map(type, values))
    if kind == "scalar" and kinds <= {int, NoneType}:
        kind, values = "text", [None if value is None else str(value) for value in values]
    elif not kinds <= _FAST[kind]:
        return None
    target = ARROW_TYPES[kind]
    try:
        if kind == "timestamp":
            array = pc.cast(pa.array(values, pa.string()), target)
            return array if _has_possible_years(array) else None
        if kind == "decimal":
            texts = values if kinds <= {str, NoneType} else [None if v is None else str(v) for v in values]
            return pc.cast(pa.array(texts, pa.string()), target)
        return pa.array(values, target)
    except (pa.ArrowException, OverflowError):
        return None


def _has_possible_years(array: pa.Array) -> bool:
    """Whether Python, and with it every reader, can represent these timestamps."""
    ends = pc.min_max(array.cast(pa.int64())).as_py()
    return ends["min"] is None or (ends["min"] >= _FIRST_MICROSECOND and ends["max"] <= _LAST_MICROSECOND)


def _slow(column: Column, values: list[Any], bad: dict[int, str]) -> pa.Array:
    parse = _PARSERS[column.type]
    parsed: list[Any] = []
    for index, value in enumerate(values):
        try:
            parsed.append(None if value is None else parse(value))
        except ValueError as error:
            bad.setdefault(index, f"{column.name} {error}: {_short(value)}")
            parsed.append(None)
    return pa.array(parsed, ARROW_TYPES[column.type])


def _parse_bigint(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("is not a whole number")
    if not _SMALLEST_INT <= value <= _LARGEST_INT:
        raise ValueError("is too large")
    return value


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
        parsed = datetime.fromisoformat(value.strip())
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


def _parse_json(value: Any) -> str | None:
    # Sorted keys: the same object in another order is not a change.
    return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


_PARSERS: dict[ColumnType, Callable[[Any], Any]] = {
    "bigint": _parse_bigint,
    "id": _parse_id,
    "text": _parse_text,
    "scalar": _parse_scalar,
    "bool": _parse_bool,
    "timestamp": _parse_timestamp,
    "decimal": _parse_decimal,
    "double": _parse_double,
    "json": _parse_json,
}


def _reject(row: Any, reason: str) -> Rejected:
    return Rejected(likely_id(row), reason, orjson.dumps(row).decode())


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."

"""A batch of JSON rows -> a typed Arrow table; rows that cannot be typed are set apart with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import pyarrow as pa

from pipelines.rivo.columns import Column
from pipelines.rivo.decode import (
    Row,
    TypedRow,
    attribute_values,
    json_text,
    likely_id,
    nested_ids,
    resource_ids,
)
from pipelines.rivo.types import ARROW_TYPES, natural_type, to_array

UNDECLARED = "Not declared by this release; as Rivo sends it."
MISFIT = "_misfit"
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True)
class Rejected:
    """A row set apart: its (likely) id where it has one, why, and the whole row as JSON."""

    id: int | None
    reason: str
    row: str


@dataclass(frozen=True)
class Batch:
    """Rows turned on their side, which is how columns are made of them.

    `rows` are those that have the shape of a row, `ids` theirs. `values` holds each attribute that any of them
    has: a value a row, None where it is absent or null. `rejected` are the others.
    """

    rows: list[Row]
    ids: list[int]
    values: dict[str, Sequence[Any]]
    rejected: list[Rejected]


def batch(rows: list[Row]) -> Batch:
    """Turn resource objects `{"id": ..., "type": ..., "attributes": {...}}` on their side."""
    ids = resource_ids(rows)
    rejected: list[Rejected] = []
    if None in ids or not all(map(_has_attributes, rows)):
        good = []
        for row, row_id in zip(rows, ids, strict=True):
            if not _has_attributes(row):
                rejected.append(_reject(row, "the row is not an object with attributes"))
            elif row_id is None:
                rejected.append(_reject(row, "the row has no usable id"))
            else:
                good.append(row)
        rows, ids = good, resource_ids(good)
    return Batch(rows, ids, attribute_values(rows), rejected)  # type: ignore[arg-type]


def _has_attributes(row: Row) -> bool:
    return isinstance(row, TypedRow) or (isinstance(row, dict) and isinstance(row.get("attributes"), dict))


def to_table(columns: Sequence[Column], read: Batch) -> tuple[pa.Table, list[Rejected]]:
    """Type a batch of rows.

    Args:
        columns: what to read from each row, `id` first.
        read: the rows.

    Returns:
        a table with exactly these columns and one row a good row, in order; and the rows set apart.
    """
    bad: dict[int, str] = {}
    arrays = [_array(column, read, bad) for column in columns]
    table = pa.table(arrays, schema=schema(columns))
    if not bad:
        return table, read.rejected
    good = pa.array([index not in bad for index in range(len(read.rows))])
    set_apart = [_reject(read.rows[index], reason) for index, reason in sorted(bad.items())]
    return table.filter(good), [*read.rejected, *set_apart]


def schema(columns: Iterable[Column]) -> pa.Schema:
    """The Arrow schema of these columns."""
    return pa.schema([pa.field(column.name, ARROW_TYPES[column.type]) for column in columns])


def undeclared(columns: Iterable[Column], read: Batch) -> list[Column]:
    """Columns for the attributes that no column reads, typed by the values of these rows.

    An attribute that is null in all of these rows is left until a value shows its type. Where values do not
    fit the column that an undeclared attribute has got, a second column for these is among them.
    """
    known = {"id"}
    for column in columns:
        known.update((column.name, *column.sources))
    found: list[Column] = []
    for name in sorted(read.values.keys() - known):
        values = [value for value in read.values[name] if value is not None]
        if values:
            own = column_name(name)
            attribute = None if own == name else name
            found.append(Column(own, natural_type(values), UNDECLARED, attribute=attribute, lenient=True))
    taken = {column.name for column in columns}
    for column in columns:
        if (
            column.lenient
            and column.name + MISFIT not in taken
            and to_array(column.type, _values(column, read))[1]
        ):
            found.append(misfit_column(column))
    return found


def misfit_column(column: Column) -> Column:
    """The column beside an undeclared attribute's own one, for its values of other types."""
    about = f"Values of {column.name} that do not fit its type; as Rivo sends them."
    name = column.name + MISFIT
    return Column(name, "json", about, attribute=column.sources[0], misfit_of=column.type)


def column_name(attribute: str) -> str:
    """The column of an undeclared attribute: its own name, or a lasting one made of it where that cannot be.

    Plain snake case alone means the same to Rivo, to DuckDB, which does not tell capitals, and to dlt,
    which rewrites names; a name like `_deleted_at` is not the API's to set.
    """
    if _PLAIN_NAME.fullmatch(attribute):
        return attribute
    words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", attribute).lower())
    return "_".join(["attribute", *words, f"{crc32(attribute.encode()):08x}"])


def _array(column: Column, read: Batch, bad: dict[int, str]) -> pa.Array:
    """The column's array; adds to `bad`, by index, why a row must be set apart."""
    values = _values(column, read)
    if column.fallback and None in values:
        values = _filled(values, column, read)
    array, misfits = to_array(column.type, values, verbatim=column.volatile)
    if misfits and not column.lenient:
        for index, reason in misfits.items():
            bad.setdefault(index, f"{column.name} {reason}")
    if column.required and array.null_count:
        for index, missing in enumerate(array.is_null().to_pylist()):
            if missing:
                bad.setdefault(index, f"{column.name} is missing")
    return array


def _values(column: Column, read: Batch) -> Sequence[Any]:
    if column.name == "id":
        return read.ids
    values = read.values.get(column.sources[0])
    for alias in column.aliases:
        others = read.values.get(alias)
        if values is None or others is None:
            values = others if values is None else values
        else:
            values = [other if value is None else value for value, other in zip(values, others, strict=True)]
    if values is None:
        return [None] * len(read.rows)
    if column.misfit_of:
        _, misfits = to_array(column.misfit_of, values)
        return [value if index in misfits else None for index, value in enumerate(values)]
    return values


def _filled(values: Sequence[Any], column: Column, read: Batch) -> list[Any]:
    """The values, with the id of the nested object where there are none; an id in its place will do as well."""
    nested = read.values.get(column.fallback or "")
    if nested is None:
        return list(values)
    ids = nested_ids(nested)
    return [own if value is None else value for value, own in zip(values, ids, strict=True)]


def _reject(row: Any, reason: str) -> Rejected:
    return Rejected(likely_id(row), reason, json_text(row))

"""Converts batches of JSON rows to typed Arrow tables, and rejects rows that do not fit, with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any
from zlib import crc32

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.rivo.columns import Column, ColumnType
from pipelines.rivo.decode import (
    Page,
    Row,
    TypedRow,
    attribute_values,
    json_text,
    likely_id,
    nested_ids,
)
from pipelines.rivo.repair import UNREADABLE, is_too_deep, pruned
from pipelines.rivo.types import LARGEST_QUANTITY, TYPES, natural_type

_FIRST_MICROSECOND = -62_135_596_800_000_000  # 0001-01-01
_LAST_MICROSECOND = 253_402_300_799_999_999  # 9999-12-31
UNDECLARED = "Attribute that this release does not know, with its values as Rivo returned them."
MISFIT = "_misfit"
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True)
class Rejected:
    """A row to be quarantined: its id if one can be found, the reason, and the whole row as JSON."""

    id: int | None
    reason: str
    row: str


@dataclass(frozen=True)
class Batch:
    """The attribute values of some rows, by attribute instead of by row.

    Attributes:
        rows: the rows that are objects with a usable id and attributes.
        ids: the id of each of these rows.
        values: for each attribute that any of these rows has, one value per row; None where it is absent or null.
        rejected: all other rows.
    """

    rows: list[Row]
    ids: list[int]
    values: dict[str, Sequence[Any]]
    rejected: list[Rejected]


def batch(page: Page) -> Batch:
    """Arrange the values of resource objects `{"id": ..., "type": ..., "attributes": {...}}` by attribute."""
    rows, ids = page.rows, page.ids
    rejected: list[Rejected] = []
    if None in ids or not all(map(_has_attributes, rows)):
        good: list[tuple[Row, int]] = []
        for row, row_id in zip(rows, ids, strict=True):
            if not _has_attributes(row):
                reason = row.get(UNREADABLE) if isinstance(row, dict) else None
                rejected.append(_reject(row, reason or "the row is not an object with attributes"))
            elif row_id is None:
                rejected.append(_reject(row, "the row has no usable id"))
            else:
                good.append((row, row_id))
        rows, ids = [row for row, _ in good], [row_id for _, row_id in good]
    return Batch(rows, ids, attribute_values(rows), rejected)  # type: ignore[arg-type]


def _has_attributes(row: Row) -> bool:
    return isinstance(row, TypedRow) or (isinstance(row, dict) and isinstance(row.get("attributes"), dict))


def to_table(columns: Sequence[Column], read: Batch) -> tuple[pa.Table, list[Rejected]]:
    """Convert a batch of rows to a table.

    Args:
        columns: the columns of the table, `id` first.
        read: the rows.

    Returns:
        A table with exactly these columns and one row per valid row, in the order of the batch; and the rejected rows.
    """
    bad: dict[int, str] = {}
    arrays = [_array(column, read, bad) for column in columns]
    table = pa.table(arrays, schema=schema(columns))
    if not bad:
        return table, read.rejected
    good = pa.array([index not in bad for index in range(len(read.rows))])
    rejected = [_reject(read.rows[index], reason) for index, reason in sorted(bad.items())]
    return table.filter(good), [*read.rejected, *rejected]


def schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the Arrow schema of these columns."""
    return pa.schema([pa.field(column.name, TYPES[column.type].arrow) for column in columns])


@dataclass(frozen=True)
class Typed:
    """Some rows of a list as an Arrow table, with the rejected rows and the attributes found."""

    table: pa.Table
    ids: list[int]
    """Ids of all rows that have a usable id and attributes, rejected ones included."""
    rejected: list[Rejected]
    attributes: dict[str, bool]
    """The attributes that any row has, and whether any row has a value other than null for it."""
    new_columns: list[Column]
    """Columns for attributes that had no column before."""


class ListTyper:
    """Converts pages of one list to tables, and adds a column for each attribute that no column reads yet.

    Attributes:
        columns: the columns of the returned tables, `id` first.
    """

    def __init__(self, columns: Iterable[Column]) -> None:
        self.columns = list(columns)

    def __call__(self, page: Page) -> Typed:
        """Convert the rows of a page; `rejected` has the rows that do not fit, with the reason."""
        read = batch(page)
        new = [column for column in undeclared(self.columns, read) if self._is_new(column)]
        self.columns += new
        table, rejected = to_table(self.columns, read)
        attributes = {
            name: any(value is not None for value in values) for name, values in read.values.items()
        }
        return Typed(table, read.ids, rejected, attributes, new)

    def _is_new(self, column: Column) -> bool:
        """Return whether there is no column of this name yet.

        A column that exists already is set to read the attribute of this one, whose spelling can differ.
        """
        for index, known in enumerate(self.columns):
            if known.name == column.name:
                self.columns[index] = replace(known, attribute=column.attribute)
                for place, other in enumerate(self.columns):
                    if other.name == column.name + MISFIT:
                        self.columns[place] = misfit_column(self.columns[index])
                return False
        return True


def in_batches(pages: Iterable[Page], rows: int = 1000) -> Iterator[Page]:
    """Yield pages of at least `rows` rows, because converting many rows at once costs little more than a few."""
    gathered = Page([], [])
    for page in pages:
        gathered = gathered + page if gathered else page
        if len(gathered) >= rows:
            yield gathered
            gathered = Page([], [])
    if gathered:
        yield gathered


def undeclared(columns: Iterable[Column], read: Batch) -> list[Column]:
    """Return new columns for attributes that no column reads, with types inferred from the values.

    An attribute that is null in all of these rows gets no column until a value shows its type. Where values do not
    fit the existing column of an undeclared attribute, a second column for these values is returned.
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
            and column.type != "json"
            and column.name + MISFIT not in taken
            and to_array(column.type, _values(column, read))[1]
        ):
            found.append(misfit_column(column))
    return found


def misfit_column(column: Column) -> Column:
    """Return the second column of an undeclared attribute, which holds the values that do not fit the first one."""
    about = f"Values of {column.name} that do not fit its type, as Rivo returned them."
    name = column.name + MISFIT
    return Column(name, "json", about, attribute=column.sources[0], misfit_of=column.type)


def column_name(attribute: str) -> str:
    """Return the column name of an undeclared attribute.

    It is the name of the attribute where that is plain snake case. Other names are replaced by a stable name
    derived from it, because DuckDB ignores case, dlt rewrites names, and names such as `_deleted_at` are reserved for
    the connector.
    """
    if _PLAIN_NAME.fullmatch(attribute):
        return attribute
    words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", attribute).lower())
    return "_".join(["attribute", *words, f"{crc32(attribute.encode()):08x}"])


def _array(column: Column, read: Batch, bad: dict[int, str]) -> pa.Array:
    """Return the array of a column; add to `bad` the index of each row to be rejected, with the reason."""
    values = _values(column, read)
    if column.fallback and None in values:
        values = _filled(values, column, read)
    array, misfits = to_array(column.type, values, verbatim=column.volatile)
    # Where an undeclared attribute already accepts any JSON, what does not fit has no other column to go to.
    if misfits and not (column.lenient and column.type != "json"):
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
    """Return the values, with None replaced by the id of the nested object, or by the id that is in its place."""
    nested = read.values.get(column.fallback or "")
    if nested is None:
        return list(values)
    ids = nested_ids(nested)
    return [own if value is None else value for value, own in zip(values, ids, strict=True)]


def _reject(row: Any, reason: str) -> Rejected:
    return Rejected(likely_id(row), reason, json_text(row))


def to_array(
    kind: ColumnType, values: Sequence[Any], *, verbatim: bool = False
) -> tuple[pa.Array, dict[int, str]]:
    """Convert the JSON values of one column to an Arrow array.

    JSON is written with sorted keys, so that equal objects give equal texts. With `verbatim`, JSON given as bytes is
    kept unchanged.

    Returns:
        An array of the Arrow type, as long as `values`, with null for each value that does not fit; and, by index,
        the reason why such a value does not fit ("is not text: 5").
    """
    array = _at_once(kind, values, verbatim)
    return (array, {}) if array is not None else _one_by_one(kind, values)


def _at_once(kind: ColumnType, values: Sequence[Any], verbatim: bool) -> pa.Array | None:
    """Return the array converted by Arrow as a whole, or None where the values must be parsed one by one."""
    target, parse = TYPES[kind].arrow, TYPES[kind].parse
    kinds = set(map(type, values))
    if kinds == {NoneType}:
        return pa.nulls(len(values), target)
    if kind == "json":
        if verbatim and kinds <= {bytes, NoneType}:
            return None if any(map(is_too_deep, filter(None, values))) else _json_array(values)
        try:
            return _json_array([None if value is None else parse(value) for value in values])
        except ValueError:
            return None
    if kind == "scalar" and kinds <= {int, NoneType}:
        kind, values, kinds = "text", [None if value is None else str(value) for value in values], {str}
    elif not kinds <= TYPES[kind].at_once:
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


def _json_array(texts: Sequence[bytes | None]) -> pa.Array:
    return pa.array(texts, pa.binary()).cast(TYPES["json"].arrow)


def _has_possible_years(array: pa.Array) -> bool:
    """Return whether Python can represent these timestamps, whose years must be 1 to 9999."""
    ends = pc.min_max(array.cast(pa.int64())).as_py()
    return ends["min"] is None or (ends["min"] >= _FIRST_MICROSECOND and ends["max"] <= _LAST_MICROSECOND)


def _are_possible_quantities(array: pa.Array) -> bool:
    ends = pc.min_max(array).as_py()
    return ends["min"] is None or (ends["min"] >= -LARGEST_QUANTITY and ends["max"] <= LARGEST_QUANTITY)


def _one_by_one(kind: ColumnType, values: Sequence[Any]) -> tuple[pa.Array, dict[int, str]]:
    parse = TYPES[kind].parse
    parsed: list[Any] = []
    bad: dict[int, str] = {}
    for index, value in enumerate(values):
        try:
            parsed.append(None if value is None else parse(value))
        except ValueError as error:
            bad[index] = f"{error}: {shortened(value)}"
            parsed.append(None)
    return pa.array(parsed, TYPES[kind].arrow), bad


def shortened(value: Any) -> str:
    """Return a JSON value as text of at most 80 characters, for messages."""
    text = value.decode() if isinstance(value, bytes) else orjson.dumps(pruned(value)).decode()
    return text if len(text) <= 80 else text[:77] + "..."

"""Rows that were read -> `rivo_raw`: what is new or changed is merged by dlt.

What is done here is what only Rivo's lists need: telling new from changed from merely re-read rows, setting
apart what cannot be read, and marking the rows that a complete read no longer holds.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.load.merge import run_dlt
from pipelines.rivo.arrow import (
    MISFIT,
    UNDECLARED,
    Rejected,
    batch,
    misfit_column,
    schema,
    to_table,
    undeclared,
)
from pipelines.rivo.columns import DUCKDB_TYPES, META_COLUMNS, Column, ColumnType, Endpoint
from pipelines.rivo.decode import Row, likely_id
from pipelines.warehouse import RAW, Build
from pipelines.warehouse.raw_tables import existing_columns

_BATCH_ROWS = 1000
_CHUNK_ROWS = 25_000
_NATURAL_TYPES: dict[str, ColumnType] = {
    "BIGINT": "bigint",
    "VARCHAR": "text",
    "BOOLEAN": "bool",
    "DOUBLE": "double",
    "JSON": "json",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}


@dataclass
class Counts:
    """What one read of a list amounted to; the columns of the same names in `rivo_raw.sync_log`."""

    rows_read: int = 0
    rows_new: int = 0
    rows_changed: int = 0
    rows_deleted: int = 0
    rows_quarantined: int = 0


@dataclass
class Landing:
    """One list on its way into the warehouse, and what was found on that way."""

    build: Build
    endpoint: Endpoint
    observed_at: datetime
    treat: Callable[[Endpoint, list[Row]], list[Row]] | None = None
    """What becomes of rows before anything else: see `pipelines.privacy.incoming`."""
    columns: list[Column] = field(default_factory=list)
    seen: array[int] = field(default_factory=lambda: array("q"))
    found: dict[str, bool] = field(default_factory=dict)
    """The attributes that came, and whether any row had a value there."""
    filled: set[str] = field(default_factory=set)
    """The columns that have a value in some row that came."""
    unidentified: int = 0
    """Rows that came without any id although they say something: any known row could be one of them."""
    rejected: list[Rejected] = field(default_factory=list)
    new_columns: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        """The declared columns, and those that an earlier sync found undeclared."""
        declared = {c.name for c in (*self.endpoint.columns, *META_COLUMNS)}
        existing = existing_columns(self.build.connection)[self.endpoint.name]
        found = {
            name: Column(name, _NATURAL_TYPES.get(kind, "text"), UNDECLARED, lenient=True)
            for name, kind in existing.items()
            if name not in declared
        }
        for column in list(found.values()):
            if column.name + MISFIT in found:
                found[column.name + MISFIT] = misfit_column(column)
        self.columns = [*self.endpoint.columns, *found.values()]


def load(
    landing: Landing, pages: Iterable[list[Row]], check: Callable[[Landing], None] | None = None
) -> None:
    """Read all pages, `check` what came, then merge what is new or changed into the list's raw table by id.

    Nothing is loaded when reading or checking raises: dlt gathers everything in a load package first.
    """
    table = f"{RAW}.{landing.endpoint.name}"
    row = landing.build.connection.execute(f"select exists (from {table})").fetchone()
    # Into an empty table there is nothing to merge: a first load is neither compared nor written twice.
    prepare, disposition = (_differing, "merge") if row and row[0] else (_all_new, "append")
    with _without_cycle_collection():
        run_dlt(
            landing.build,
            landing.endpoint.name,
            _changes(landing, pages, check, prepare),
            (*landing.endpoint.columns, *META_COLUMNS),
            disposition,
        )


@contextmanager
def _without_cycle_collection() -> Iterator[None]:
    """Rows of JSON hold no cycles, but looking for some among a million of them costs half of parsing them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def mark_seen(landing: Landing, *, complete: bool) -> None:
    """Write `_last_seen_at` for every row read and, after a complete read, `_deleted_at` for the others."""
    connection, table = landing.build.connection, f"{RAW}.{landing.endpoint.name}"
    seen = pa.table({"id": pa.array(landing.seen, pa.int64())})
    connection.register("seen", seen)
    connection.execute(
        f"update {table} set _last_seen_at = $at where id in (select id from seen) "
        "and _last_seen_at is distinct from $at",
        {"at": landing.observed_at},
    )
    if complete and not landing.unidentified:
        result = connection.execute(
            f"update {table} set _deleted_at = $at where _deleted_at is null "
            "and id not in (select id from seen)",
            {"at": landing.observed_at},
        ).fetchone()
        landing.counts.rows_deleted = result[0] if result else 0
    connection.unregister("seen")


def quarantine(landing: Landing, since_id: int, apart: Sequence[int] = ()) -> None:
    """Replace the list's quarantined rows that this read covered by those it had to set apart now.

    It covered those with an id above `since_id`, and those with one of the ids `apart`.
    Where a row without any id stands in its list is not known, so that only a complete read lets go of it.
    """
    connection = landing.build.connection
    rejected = list(dict.fromkeys(landing.rejected))
    connection.execute(
        f"delete from {RAW}._quarantine where list = $list and "
        "($since_id = 0 or id > $since_id or list_contains($apart, id) "
        'or id is null and list_contains($rows, "row"::varchar))',
        {
            "list": landing.endpoint.name,
            "since_id": since_id,
            "apart": list(apart),
            "rows": [each.row for each in rejected if each.id is None],
        },
    )
    if rejected:
        connection.executemany(
            f"insert into {RAW}._quarantine values (?, ?, ?, ?, ?)",
            [(landing.endpoint.name, r.id, r.reason, r.row, landing.observed_at) for r in rejected],
        )


def _changes(
    landing: Landing,
    pages: Iterable[list[Row]],
    check: Callable[[Landing], None] | None,
    prepare: Callable[[Landing, list[Column], pa.Table], Iterator[pa.Table]],
) -> Iterator[pa.Table]:
    """Typed rows that differ from what the warehouse holds, in chunks; counts everything on the way."""
    parts: list[pa.Table] = []
    for rows in _batches(pages):
        parts.append(_typed(landing, rows))
        if sum(part.num_rows for part in parts) >= _CHUNK_ROWS:
            yield from prepare(landing, *_together(landing, parts))
            parts = []
    if check:
        check(landing)
    if parts:
        yield from prepare(landing, *_together(landing, parts))


def _together(landing: Landing, parts: list[pa.Table]) -> tuple[list[Column], pa.Table]:
    """One table of several, and its columns; those found after the first of these pages are null there."""
    table = pa.concat_tables(parts, promote_options="default")
    landing.build.make_room(table.nbytes)
    return [column for column in landing.columns if column.name in table.column_names], table


def _typed(landing: Landing, rows: list[Row]) -> pa.Table:
    landing.counts.rows_read += len(rows)
    if landing.treat:
        rows = landing.treat(landing.endpoint, rows)
    read = batch(rows)
    landing.seen.extend(read.ids)
    for row in rows if read.rejected else ():
        row_id = likely_id(row)
        if row_id is not None:
            landing.seen.append(row_id)
        elif _says_something(row):
            landing.unidentified += 1
    for name, values in read.values.items():
        if not landing.found.get(name):
            landing.found[name] = any(value is not None for value in values)
    for column in undeclared(landing.columns, read):
        _add_column(landing, column)
    table, rejected = to_table(landing.columns, read)
    landing.rejected += rejected
    landing.counts.rows_quarantined += len(rejected)
    landing.filled.update(name for name in table.column_names if table[name].null_count < table.num_rows)
    return table


def _batches(pages: Iterable[list[Row]]) -> Iterator[list[Row]]:
    """Several pages at once: a column of many rows is typed for little more than one of few."""
    gathered: list[Row] = []
    for rows in pages:
        gathered += rows
        if len(gathered) >= _BATCH_ROWS:
            yield gathered
            gathered = []
    if gathered:
        yield gathered


def _says_something(row: object) -> bool:
    """Whether a row is more than one of the all-null ones that Rivo lists for what was never set up."""
    attributes = row.get("attributes") if isinstance(row, dict) else row
    if isinstance(attributes, dict):
        return any(value is not None for value in attributes.values())
    return attributes is not None


def _add_column(landing: Landing, column: Column) -> None:
    for index, known in enumerate(landing.columns):
        if known.name == column.name:
            # Found by an earlier sync under a name that is not the attribute's own: now the attribute is known.
            landing.columns[index] = replace(known, attribute=column.attribute)
            for place, other in enumerate(landing.columns):
                if other.name == column.name + MISFIT:
                    landing.columns[place] = misfit_column(landing.columns[index])
            return
    table, kind = f"{RAW}.{landing.endpoint.name}", DUCKDB_TYPES[column.type]
    about = column.description.replace("'", "''")
    landing.build.connection.execute(
        f'alter table {table} add column "{column.name}" {kind}; '
        f"comment on column {table}.\"{column.name}\" is '{about}'"
    )
    landing.columns.append(column)
    landing.new_columns.append(column.name)


def drop_new_columns(landing: Landing) -> None:
    """Take back the columns that a read added which was then given up."""
    for name in landing.new_columns:
        landing.build.connection.execute(f'alter table {RAW}.{landing.endpoint.name} drop column "{name}"')


def _all_new(landing: Landing, columns: list[Column], incoming: pa.Table) -> Iterator[pa.Table]:
    """The rows of a first load, with the columns that every row has."""
    count = incoming.num_rows
    landing.counts.rows_new += count
    at = pa.repeat(pa.scalar(landing.observed_at, pa.timestamp("us", tz="UTC")), count)
    meta = [at, at, pa.nulls(count, at.type)]
    if count:
        yield pa.table([*incoming.columns, *meta], schema=schema([*columns, *META_COLUMNS]))


def _differing(landing: Landing, columns: list[Column], incoming: pa.Table) -> Iterator[pa.Table]:
    """The rows that are new or differ from the stored ones, with when each was first and last seen."""
    if not incoming.num_rows:
        return
    ids = pc.min_max(incoming["id"])
    own = [c for c in columns if not c.volatile]
    connection = landing.build.connection.cursor()
    connection.register("incoming", incoming)
    differing = connection.execute(
        f"""
        select {", ".join(f'c."{c.name}"' for c in columns)},
            coalesce(s._first_seen_at, $at) as _first_seen_at,
            $at as _last_seen_at,
            null::timestamptz as _deleted_at,
            case
                when s.id is null then 'new'
                when s._deleted_at is not null or {_differs(own)} then 'changed'
                else 'touched'
            end as _what
        from incoming as c
        left join {RAW}.{landing.endpoint.name} as s on s.id = c.id and s.id between $low and $high
        where s.id is null or s._deleted_at is not null or {_differs(columns)}
        """,
        {"at": landing.observed_at, "low": ids["min"].as_py(), "high": ids["max"].as_py()},
    ).to_arrow_table()
    connection.close()
    what = {entry["values"]: entry["counts"] for entry in pc.value_counts(differing["_what"]).to_pylist()}
    landing.counts.rows_new += what.get("new", 0)
    landing.counts.rows_changed += what.get("changed", 0)
    if differing.num_rows:
        yield differing.drop_columns("_what").cast(schema([*columns, *META_COLUMNS]))


def _differs(columns: Iterable[Column]) -> str:
    """SQL: whether incoming row c differs from stored row s; JSON is compared as the text it is stored as."""
    ours, theirs = [], []
    for column in columns:
        ours.append(f'c."{column.name}"')
        theirs.append(f's."{column.name}"' + ("::varchar" if column.type == "json" else ""))
    return f"row({', '.join(ours)}) is distinct from row({', '.join(theirs)})"

"""Rows that were read -> `rivo_raw`: what is new or changed is merged by dlt.

A list passes these steps, each a method of `Landing`: personal data is redacted, rows are typed (those that cannot be
typed are quarantined), the whole read is checked, typed rows are compared with the stored ones, and only new and
changed rows go through dlt. Then `_last_seen_at` and `_deleted_at` are written.
"""

from __future__ import annotations

import gc
import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.load.merge import run_pipeline
from pipelines.rivo.arrow import MISFIT, UNDECLARED, ListTyper, Rejected, in_batches, misfit_column, schema
from pipelines.rivo.columns import META_COLUMNS, Column, Endpoint
from pipelines.rivo.decode import Page, Row, likely_id
from pipelines.rivo.types import duckdb_type, type_of_duckdb
from pipelines.sql import exists, literal, quoted
from pipelines.warehouse import RAW, Build
from pipelines.warehouse.raw_tables import columns_of_table

_CHUNK_ROWS = 25_000
"""Rows that are compared with the stored ones at once."""


@dataclass
class Counts:
    """The size of one read of a list; the columns of the same names in `rivo_raw.sync_log`."""

    rows_read: int = 0
    rows_new: int = 0
    rows_changed: int = 0
    rows_deleted: int = 0
    rows_quarantined: int = 0


class Landing:
    """One list on its way into its raw table, and what was found on that way.

    Attributes:
        counts: rows read, new, changed, deleted and quarantined so far.
        seen: the ids that came.
        attributes: the attributes that came, and whether any row has a value there.
        filled: the columns that have a value in some row that came.
        new_columns: names of the columns that this read added to the raw table.
    """

    def __init__(
        self,
        build: Build,
        endpoint: Endpoint,
        observed_at: datetime,
        redact: Callable[[Endpoint, list[Row]], list[Row]] | None = None,
    ) -> None:
        """`redact` replaces personal data in rows before anything else: see `pipelines.privacy.redaction`."""
        self.build = build
        self.endpoint = endpoint
        self.observed_at = observed_at
        self.counts = Counts()
        self.seen = array("q")
        self.attributes: dict[str, bool] = {}
        self.filled: set[str] = set()
        self.new_columns: list[str] = []
        self._redact = redact
        self._table = f"{RAW}.{endpoint.name}"
        self._typer = ListTyper([*endpoint.columns, *self._found_before()])
        self._rejected: list[Rejected] = []
        self._rows_without_id = 0
        self._is_first = False

    def load(self, pages: Iterable[Page], check: Callable[[Landing], None] | None = None) -> None:
        """Read all pages, `check` the rows read, then merge what is new or changed into the raw table by id.

        Nothing is loaded when reading or checking raises: dlt collects everything in a load package first.

        Raises:
            ListError: the list cannot be read, or `check` refuses it.
        """
        # Into an empty table there is nothing to merge: a first load is neither compared nor written twice.
        self._is_first = not exists(self.build.connection, f"from {self._table}")
        prepare = self._as_new if self._is_first else self._changed
        with _without_cycle_collection():
            changes = (
                rows
                for chunk in self._chunks(self._typed(pages), check)
                for rows in prepare(chunk)
                if rows.num_rows
            )
            first = next(changes, None)
            if first is not None:
                # Imported here, since on a quiet night nothing is loaded, and dlt is a tenth of what a sync imports.
                from pipelines.rivo.source import list_resource

                disposition = "append" if self._is_first else "merge"
                tables = itertools.chain([first], changes)
                run_pipeline(self.build, list_resource(self.endpoint, tables, META_COLUMNS, disposition))

    def mark_seen(self, *, complete: bool) -> None:
        """Write `_last_seen_at` for every row that came and, after a complete read, `_deleted_at` for the others."""
        connection, at = self.build.connection, {"at": self.observed_at}
        connection.register("seen", pa.table({"id": pa.array(self.seen, pa.int64())}))
        connection.execute(
            f"update {self._table} set _last_seen_at = $at where id in (select id from seen) "
            "and _last_seen_at is distinct from $at",
            at,
        )
        # Any known row could be one of those that came without an id.
        if complete and not self._rows_without_id:
            deleted = connection.execute(
                f"update {self._table} set _deleted_at = $at where _deleted_at is null "
                "and id not in (select id from seen)",
                at,
            ).fetchone()
            self.counts.rows_deleted = deleted[0] if deleted else 0
        connection.unregister("seen")

    def quarantine(self, since_id: int, quarantined_ids: Sequence[int] = ()) -> None:
        """Replace the list's quarantined rows that this read covered by those that it rejected.

        It covered the rows with an id above `since_id`, and those with one of the `quarantined_ids`. The place of a row
        without an id is unknown, so only a complete read removes one.
        """
        connection = self.build.connection
        rejected = list(dict.fromkeys(self._rejected))
        connection.execute(
            f"delete from {RAW}._quarantine where list = $list and "
            "($since_id = 0 or id > $since_id or list_contains($quarantined_ids, id) "
            'or id is null and list_contains($rows, "row"::varchar))',
            {
                "list": self.endpoint.name,
                "since_id": since_id,
                "quarantined_ids": list(quarantined_ids),
                "rows": [each.row for each in rejected if each.id is None],
            },
        )
        if rejected:
            connection.executemany(
                f"insert into {RAW}._quarantine values (?, ?, ?, ?, ?)",
                [(self.endpoint.name, r.id, r.reason, r.row, self.observed_at) for r in rejected],
            )

    def give_up(self) -> None:
        """Drop the columns that this read added to the raw table, and the rows of a first load that broke off."""
        if self._is_first:
            self.build.connection.execute(f"delete from {self._table}")
        for name in self.new_columns:
            self.build.connection.execute(f"alter table {self._table} drop column {quoted(name)}")
        self.new_columns.clear()

    def _found_before(self) -> list[Column]:
        """Return the columns that earlier syncs added for undeclared attributes."""
        declared = {column.name for column in (*self.endpoint.columns, *META_COLUMNS)}
        existing = columns_of_table(self.build.connection, self.endpoint.name)
        found = {
            name: Column(name, type_of_duckdb(kind), UNDECLARED, lenient=True)
            for name, kind in existing.items()
            if name not in declared
        }
        for column in list(found.values()):
            if column.name + MISFIT in found:
                found[column.name + MISFIT] = misfit_column(column)
        return list(found.values())

    def _typed(self, pages: Iterable[Page]) -> Iterator[pa.Table]:
        """Yield the rows as typed tables; collect what the guards, the quarantine and `mark_seen` need."""
        for page in in_batches(pages):
            self.counts.rows_read += len(page)
            redacted = Page.of(self._redact(self.endpoint, page.rows)) if self._redact else page
            typed = self._typer(redacted)
            self.seen.extend(typed.ids)
            if typed.rejected:
                self._note_rejected(redacted, typed.rejected)
            for name, has_value in typed.attributes.items():
                self.attributes[name] = self.attributes.get(name, False) or has_value
            for column in typed.new_columns:
                self._add_column(column)
            table = typed.table
            self.filled.update(n for n in table.column_names if table[n].null_count < table.num_rows)
            yield table

    def _note_rejected(self, page: Page, rejected: list[Rejected]) -> None:
        self._rejected += rejected
        self.counts.rows_quarantined += len(rejected)
        for row in page:
            row_id = likely_id(row)
            if row_id is not None:
                self.seen.append(row_id)
            elif _has_content(row):
                self._rows_without_id += 1

    def _add_column(self, column: Column) -> None:
        name = quoted(column.name)
        self.build.connection.execute(
            f"alter table {self._table} add column {name} {duckdb_type(column)}; "
            f"comment on column {self._table}.{name} is {literal(column.description)}"
        )
        self.new_columns.append(column.name)

    def _chunks(
        self, tables: Iterable[pa.Table], check: Callable[[Landing], None] | None
    ) -> Iterator[pa.Table]:
        """Yield tables of about `_CHUNK_ROWS` rows; `check` runs when all rows have been read, before the last one."""
        parts: list[pa.Table] = []
        for table in tables:
            parts.append(table)
            if sum(part.num_rows for part in parts) >= _CHUNK_ROWS:
                yield self._together(parts)
                parts = []
        if check:
            check(self)
        if parts:
            yield self._together(parts)

    def _together(self, parts: list[pa.Table]) -> pa.Table:
        """Concatenate tables; a column that was found after the first of them is null there."""
        table = pa.concat_tables(parts, promote_options="default")
        self.build.make_room(table.nbytes)
        return table

    def _columns_of(self, table: pa.Table) -> list[Column]:
        return [column for column in self._typer.columns if column.name in table.column_names]

    def _as_new(self, incoming: pa.Table) -> Iterator[pa.Table]:
        """Yield the rows of a first load, with the columns that every raw row has."""
        count = incoming.num_rows
        self.counts.rows_new += count
        at = pa.repeat(pa.scalar(self.observed_at, pa.timestamp("us", tz="UTC")), count)
        meta = [at, at, pa.nulls(count, at.type)]
        columns = [*self._columns_of(incoming), *META_COLUMNS]
        yield pa.table([*incoming.columns, *meta], schema=schema(columns))

    def _changed(self, incoming: pa.Table) -> Iterator[pa.Table]:
        """Yield the rows that are new or differ from the stored ones, with when each was first and last seen."""
        if not incoming.num_rows:
            return
        columns = self._columns_of(incoming)
        ids = pc.min_max(incoming["id"])
        with self.build.connection.cursor() as connection:
            connection.register("incoming", incoming)
            differing = connection.execute(
                _comparison(self._table, columns),
                {"at": self.observed_at, "low": ids["min"].as_py(), "high": ids["max"].as_py()},
            ).to_arrow_table()
        what = {entry["values"]: entry["counts"] for entry in pc.value_counts(differing["_what"]).to_pylist()}
        self.counts.rows_new += what.get("new", 0)
        self.counts.rows_changed += what.get("changed", 0)
        yield differing.drop_columns("_what").cast(schema([*columns, *META_COLUMNS]))


@contextmanager
def _without_cycle_collection() -> Iterator[None]:
    """Switch the search for reference cycles off: rows of JSON hold none, and it would cost half of parsing them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _has_content(row: Any) -> bool:
    """Return whether a row is more than one of the all-null ones that Rivo lists for rules that were never set up."""
    attributes = row.get("attributes") if isinstance(row, dict) else row
    if isinstance(attributes, dict):
        return any(value is not None for value in attributes.values())
    return attributes is not None


def _comparison(table: str, columns: Sequence[Column]) -> str:
    """SQL: the rows of `incoming` that are not in the raw table as they are, each with `_what` it is.

    `_what` is 'new', 'changed', or 'touched' where only volatile columns differ.
    """
    own = [column for column in columns if not column.volatile]
    return f"""
        select {", ".join(f"c.{quoted(column.name)}" for column in columns)},
            coalesce(s._first_seen_at, $at) as _first_seen_at,
            $at as _last_seen_at,
            null::timestamptz as _deleted_at,
            case
                when s.id is null then 'new'
                when s._deleted_at is not null or {_differs(own)} then 'changed'
                else 'touched'
            end as _what
        from incoming as c
        left join {table} as s on s.id = c.id and s.id between $low and $high
        where s.id is null or s._deleted_at is not null or {_differs(columns)}
        """


def _differs(columns: Iterable[Column]) -> str:
    """SQL: whether incoming row c differs from stored row s; JSON is compared as the text that it is stored as."""
    ours, theirs = [], []
    for column in columns:
        name = quoted(column.name)
        ours.append(f"c.{name}")
        theirs.append(f"s.{name}" + ("::varchar" if column.type == "json" else ""))
    return f"row({', '.join(ours)}) is distinct from row({', '.join(theirs)})"

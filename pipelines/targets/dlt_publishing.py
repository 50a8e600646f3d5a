"""A target in any destination of dlt: Snowflake, BigQuery, Databricks, a bucket with Delta or Iceberg tables, ...

Not atomic: each table is replaced or merged at once, but one after the other, and the mark after them. Until then a
reader may see some tables of today beside some of yesterday. A publication that fails leaves the mark as it was, and
the next one sends what the failed one may have sent in part.

Of a table with a thousand rows or more, the rows of changed ranges of ids alone are sent (`changes`). They replace
those that the destination has of the same ids, and of ranges that have lost a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pipelines.errors import command
from pipelines.sql import quoted
from pipelines.target_settings import TargetSetting
from pipelines.targets.changes import STATE_COLUMNS, Changes, find_changes
from pipelines.targets.content import Column, Content, Table, json_text
from pipelines.targets.dlt_destination import Load, OpenedDestination, opened_destination
from pipelines.targets.dlt_maintenance import maintained
from pipelines.targets.dlt_meta import FoundMark, MetaFiles, MetaTables, columns_of, dirty, placeholder
from pipelines.targets.marks import Mark, TargetError, check_marks, foreign_table, marks_of, refuse_unmarked
from pipelines.targets.publication import Publication

if TYPE_CHECKING:
    import pyarrow as pa

_FEWEST_ROWS = 1000
"""A table with fewer rows is sent whole: to keep its buckets would cost as much."""
_MOST_RANGES = 2000
"""Ranges that have lost a row are written into a statement; a table with more of them is sent whole."""
_FLOATS = frozenset({"DOUBLE", "FLOAT"})
_BATCH_ROWS = 100_000
_KEEPS_VERSIONS = {
    "snowflake": "Snowflake's Time Travel keeps the old rows for the retention time of the tables.",
    "bigquery": "BigQuery's time travel keeps the old rows for up to seven days.",
    "databricks": "Databricks keeps the old rows until VACUUM deletes them.",
    "motherduck": "MotherDuck keeps the old rows in its snapshots for their retention time.",
}
"""Destinations in which deleted rows can be read for some time, and nothing here can change that."""


def look(content: Content, target: TargetSetting) -> list[Mark]:
    """Return the mark of the destination, and write nothing.

    Raises:
        TargetError: the destination cannot be used.
    """
    with opened_destination(content, target) as destination:
        return list(_meta_of(destination, content).read().marks)


def publish(content: Content, target: TargetSetting, *, replace_all: bool, purge: bool) -> Publication:
    """Publish the tables that have changed, then the mark.

    With `purge`, the tables in a bucket are deleted and written again, since they keep their old versions.

    Raises:
        TargetError: the destination cannot be used, or holds something that must not be replaced.
    """
    with opened_destination(content, target) as destination:
        return _Publishing(destination, content, target, purge=purge and destination.is_files).publish(
            replace_all=replace_all,
            notes=[_KEEPS_VERSIONS[destination.kind]]
            if purge and destination.kind in _KEEPS_VERSIONS
            else [],
        )


@dataclass(frozen=True)
class _Sending:
    """A table that is to be sent."""

    table: Table
    label: str
    dataset: str
    changes: Changes | None
    is_whole: bool
    drop_first: bool

    @property
    def rows(self) -> int:
        return self.table.rows if self.is_whole or self.changes is None else self.changes.rows


@dataclass
class _Publishing:
    """A publication to one destination."""

    destination: OpenedDestination
    content: Content
    target: TargetSetting
    purge: bool
    """Whether every table is to be deleted and written again."""
    meta: MetaTables | MetaFiles = field(init=False)

    def __post_init__(self) -> None:
        self.meta = _meta_of(self.destination, self.content)

    def publish(self, *, replace_all: bool, notes: list[str]) -> Publication:
        found = self.meta.read()
        check_marks(found.marks, self.content, self.target, replace=replace_all)
        own = [mark for mark in found.marks if mark.shop == self.content.shop]
        tables = [table for table in self.content.tables if table.view is None]
        labels = {f"{self.content.schema_name(t.schema)}.{t.name}": t for t in tables}
        left_out = [t.relation for t in self.content.tables if t.view is not None]
        if left_out:
            notes.append(
                f"{', '.join(left_out)} is not published to dlt destinations: it is a view that grows."
            )
        marks = [mark for mark in marks_of(self.content, self._labels()) if mark.rows is not None]
        present = self._present([*labels, *(mark.table for mark in own)])
        journal = self.meta.journal()
        is_marked = sorted(own, key=lambda mark: mark.table) == sorted(marks, key=lambda mark: mark.table)
        # A restored file can have the mark of the destination, which may have rows of a later one that was killed.
        if is_marked and not (self.purge or labels.keys() - present or any(journal.values())):
            return Publication(self.target.name, self.content.observed_at, 0, len(labels), notes=tuple(notes))
        self._refuse_foreign(found, present - {mark.table for mark in own} - journal.keys())
        sendings = list(self._sendings(labels, found, present, journal))
        gone = sorted({mark.table for mark in own} - labels.keys())
        self._begin(sendings, journal, gone)
        self._drop(
            [*(s.label for s in sendings if s.drop_first), *(label for label in gone if label in present)]
        )
        for dataset in sorted({sending.dataset for sending in sendings}):
            self.destination.load(dataset, [self._load(s) for s in sendings if s.dataset == dataset])
        self._refuse_overtaken(found, sendings)
        # Before the journal ends: with a mark of earlier rows and no journal, the next publication would leave out a
        # table whose rows are again as in that mark.
        self.meta.write(marks, [columns_of(labels[mark.table]) for mark in marks])
        self._finish(sendings)
        notes.extend(maintained(self.destination, self.meta, labels))
        return Publication(
            self.target.name,
            self.content.observed_at,
            len(sendings),
            len(labels) - len(sendings),
            sum(sending.rows for sending in sendings),
            notes=tuple(notes),
        )

    def _labels(self) -> list[str]:
        return [f"{self.content.schema_name(t.schema)}.{t.name}" for t in self.content.tables]

    def _present(self, labels: Iterable[str]) -> set[str]:
        """Return which of the tables the destination has."""
        by_dataset: dict[str, list[str]] = {}
        for label in dict.fromkeys(labels):
            dataset, _, name = label.partition(".")
            by_dataset.setdefault(dataset, []).append(name)
        return {
            f"{dataset}.{name}"
            for dataset, names in by_dataset.items()
            for name in self.destination.existing(dataset, names)
        }

    def _refuse_foreign(self, found: FoundMark, foreign: set[str]) -> None:
        if not foreign:
            return
        label = min(foreign)
        if not found.exists:
            raise refuse_unmarked(self.target, f"there is a table {label}")
        raise foreign_table(self.target, label)

    def _refuse_overtaken(self, found: FoundMark, sendings: list[_Sending]) -> None:
        """Refuse to write the mark if another process has written one meanwhile; the next publication sends all again.

        There is no lock, since few destinations have one.
        """
        before, now = (
            {mark for mark in each.marks if mark.shop == self.content.shop}
            for each in (found, self.meta.read())
        )
        if before == now:
            return
        # The other process has ended the journal of both.
        self._begin(sendings, {}, [])
        raise TargetError(
            f"{self.target.variable}: another process has published to it at the same time, so tables may be those of "
            f"either until the next publication. Run `{command()} publish {self.target.name}` on the machine with the "
            "newer data."
        )

    def _sendings(
        self, labels: dict[str, Table], found: FoundMark, present: set[str], journal: dict[str, bool]
    ) -> Iterator[_Sending]:
        known = {mark.table: mark.fingerprint for mark in found.marks if mark.shop == self.content.shop}
        columns = found.columns or {}
        for label, table in labels.items():
            dataset = label.partition(".")[0]
            if label not in present or self.purge:
                yield _Sending(table, label, dataset, self._buckets(table, None), True, label in present)
                continue
            if _must_drop(columns.get(label), columns_of(table), self.destination):
                yield _Sending(table, label, dataset, self._buckets(table, None), True, True)
                continue
            if known.get(label) == table.fingerprint and not journal.get(label):
                continue
            state = self.meta.buckets(label) if label in journal else None
            changes = self._buckets(table, state)
            has_new_column = columns.get(label) != columns_of(table)
            if changes is not None and changes.is_empty and not has_new_column:
                continue
            is_whole = changes is None or changes.is_whole or not self._can_merge(changes)
            yield _Sending(table, label, dataset, changes, is_whole, False)

    def _buckets(self, table: Table, state: pa.Table | None) -> Changes | None:
        """Return the changes since the buckets that the destination has, or None if it needs none of this table."""
        if table.rows < _FEWEST_ROWS or not self.destination.strategies:
            return None
        if state is not None:
            # A placeholder of a table that was being sent whole says nothing of its rows.
            state = None if 0 in state["width"].to_pylist() else state
        return find_changes(self.content, table, state)

    def _can_merge(self, changes: Changes) -> bool:
        """Return whether the destination can apply changes; otherwise it gets the whole table."""
        strategies = self.destination.strategies
        ranges = len(changes.deleted_ranges(self.content)) if changes.deleted else 0
        if ranges > _MOST_RANGES:
            return False
        if "delete-insert" in strategies:
            return True
        return bool(changes.table.key) and ("cdc" in strategies if ranges else "upsert" in strategies)

    def _begin(self, sendings: list[_Sending], journal: dict[str, bool], gone: list[str]) -> None:
        forgotten = [label for label in gone if label in journal]
        rows: dict[str, pa.Table] = {}
        for sending in sendings:
            changes = sending.changes
            if sending.is_whole or changes is None or changes.is_regrouped:
                forgotten += [sending.label] if sending.label in journal else []
                # Also what keeps the table of a first publication that fails from being taken for a foreign one.
                rows[sending.label] = placeholder()
            elif not changes.is_empty:
                rows[sending.label] = dirty(self._state(changes, only_changed=True, with_gone=True))
        if forgotten or rows:
            self.meta.begin(rows, forgotten)

    def _finish(self, sendings: list[_Sending]) -> None:
        states = {
            s.label: self._state(s.changes, only_changed=not (s.is_whole or s.changes.is_regrouped))
            for s in sendings
            if s.changes is not None
        }
        if sendings:
            self.meta.finish(states)

    def _state(self, changes: Changes, *, only_changed: bool, with_gone: bool = False) -> pa.Table:
        if with_gone:
            names = ", ".join(map(quoted, STATE_COLUMNS))
            sql = f"select {names} from {changes.buckets} where is_changed"
        else:
            sql = changes.state(only_changed=only_changed)
        with self.content.connection.cursor() as cursor:
            return cursor.execute(sql).to_arrow_table().cast(placeholder().schema)

    def _drop(self, labels: Iterable[str]) -> None:
        for label in labels:
            dataset, _, name = label.partition(".")
            self.destination.drop(dataset, [name])

    def _load(self, sending: _Sending) -> Load:
        table, changes = sending.table, sending.changes
        hints = {column.name: _hints(column) for column in table.columns}
        if sending.is_whole or changes is None:
            batches = _batches(self.content, table, f"select * from {table.source}", self.destination)
            return Load(table.name, batches, "replace", (), hints, table.comment)
        disposition, key = self._merge(sending, changes)
        batches = _batches(self.content, table, changes.select, self.destination)
        return Load(table.name, batches, disposition, key, hints, table.comment)

    def _merge(self, sending: _Sending, changes: Changes) -> tuple[Any, tuple[str, ...]]:
        """Return the write disposition for changed rows, and the key that it needs."""
        ranges = changes.deleted_ranges(self.content) if changes.deleted else []
        if "delete-insert" not in self.destination.strategies:
            if not ranges:
                return {"disposition": "merge", "strategy": "upsert"}, changes.table.key
            scope = _in_ranges(f"{{table}}.{changes.column.name}", changes.column, ranges)
            disposition = {"disposition": "merge", "strategy": "cdc", "destination_scope": scope}
            return disposition, changes.table.key
        with self.destination.client(sending.dataset) as client:
            name = client.sql_client.escape_column_name(changes.column.name)
        scope = f"{name} IN (SELECT {name} FROM {{staging_table}})"
        if ranges:
            scope = f"{scope} OR {_in_ranges(name, changes.column, ranges)}"
        return {"disposition": "merge", "strategy": "delete-insert", "destination_scope": scope}, ()


def _meta_of(destination: OpenedDestination, content: Content) -> MetaTables | MetaFiles:
    return (MetaFiles if destination.is_files else MetaTables)(destination, content.shop)


def _must_drop(old: str | None, new: str, destination: OpenedDestination) -> bool:
    """Return whether a table cannot be changed to other columns by adding some."""
    if old is None or old == new:
        return False
    if destination.table_format == "iceberg":
        # dlt adds no column to an Iceberg table that it merges rows into.
        return True
    return not {tuple(column) for column in json.loads(old)} <= {tuple(column) for column in json.loads(new)}


def _in_ranges(name: str, column: Column, ranges: list[tuple[int, int]]) -> str:
    """SQL of every dialect: whether a value is in one of the ranges."""

    def value(number: int) -> str:
        if column.type != "DATE":
            return str(number)
        return f"cast('{date(1970, 1, 1) + timedelta(days=number)}' as date)"

    single = [value(low) for low, high in ranges if low == high]
    parts = [f"{name} IN ({', '.join(single)})"] if single else []
    parts += [f"{name} BETWEEN {value(low)} AND {value(high)}" for low, high in ranges if low != high]
    return "(" + " OR ".join(parts) + ")"


def _hints(column: Column) -> dict[str, Any]:
    """Return dlt's hints of a column: the types that it cannot tell from Arrow, and the description."""
    hints: dict[str, Any] = {"description": column.comment} if column.comment else {}
    if _is_json(column):
        hints["data_type"] = "json"
    elif column.type in _FLOATS:
        hints["data_type"] = "double"
    elif column.type.startswith("TIMESTAMP") and column.type != "TIMESTAMP WITH TIME ZONE":
        hints |= {"data_type": "timestamp", "timezone": False}
    return hints


def _is_json(column: Column) -> bool:
    return (
        column.type == "JSON"
        or column.type.endswith("]")
        or column.type.startswith(("STRUCT", "MAP", "UNION"))
    )


def _batches(
    content: Content, table: Table, select: str, destination: OpenedDestination
) -> Iterator[pa.Table]:
    """Yield the rows in batches, first an empty one, since dlt empties no table of which it gets none."""
    import pyarrow as pa

    columns = ", ".join(f"{_value(column, destination)} as {quoted(column.name)}" for column in table.columns)
    with content.connection.cursor() as cursor:
        reader = cursor.execute(f"select {columns} from ({select})").to_arrow_reader(_BATCH_ROWS)
        yield reader.schema.empty_table()
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _value(column: Column, destination: OpenedDestination) -> str:
    """SQL: a value of a type that every destination has. Most cannot store U+0000, and get U+FFFD for it."""
    name = quoted(column.name)
    if _is_json(column):
        return json_text(column)
    if column.type in ("VARCHAR", "UUID", "INTERVAL"):
        return f"replace({name}::varchar, chr(0), chr(65533))"
    if column.type in _FLOATS and destination.needs_text:
        return f"{name}::varchar"
    return f"{name}::decimal(20, 0)" if column.type == "UBIGINT" else name

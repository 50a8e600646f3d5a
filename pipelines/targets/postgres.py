"""A target in PostgreSQL: all tables in one transaction, so that readers see one publication or the next one.

Rows are deleted and inserted and columns altered, not tables dropped: grants, policies, indexes and views of the user
stay, and a transaction that is reading keeps what it sees. (`truncate` and a dropped table would show such a
transaction an empty one.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.errors import command
from pipelines.sql import literal, quoted, scalar
from pipelines.target_settings import TargetSetting
from pipelines.targets.changes import LARGE_ROWS, STATE_COLUMNS, Changes, find_changes
from pipelines.targets.content import Column, Content, Table
from pipelines.targets.marks import (
    COLUMNS,
    DESCRIPTION,
    SCHEMA,
    TABLE,
    Mark,
    TargetError,
    check_marks,
    marks_of,
    refuse_unmarked,
)
from pipelines.targets.plan import plan_of, published_labels
from pipelines.targets.postgres_connection import connected, free_statistics, reason_of
from pipelines.targets.postgres_tables import (
    alter_table,
    create_table,
    difference_of,
    drop_relations,
    drop_view,
    find_relations,
    settings_of,
    write_view,
)
from pipelines.targets.postgres_values import as_csv, as_text, identifier, place, postgres_type, shortened
from pipelines.targets.publication import Publication

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

_LOCK = 7_230_911_540
"""Key of the advisory lock that a publication holds until it commits."""
BUCKETS = f"{SCHEMA}.buckets"
"""Table with a hash for each range of ids of the large tables."""
_KEY_BYTES = 2000
"""Longest key of a row that gets a primary key: Postgres refuses entries of an index with more than 2704 bytes."""
_LONG_TYPES = frozenset({"text", "jsonb", "bytea"})
"""Types of Postgres whose values can be that long."""


def look(content: Content, target: TargetSetting) -> list[Mark]:
    """Return the mark of the database, and write nothing.

    Raises:
        TargetError: the server cannot be reached, or the user of the target may not create what a first publication
            needs.
    """
    with connected(target) as connection:
        found = _Database(connection, content, target).marks()
        may_create = connection.execute(
            "select has_database_privilege(current_database(), 'create') "
            "or exists (select 1 from pg_namespace where nspname = %s)",
            [SCHEMA],
        ).fetchone()
        if not may_create or not may_create[0]:
            raise TargetError(
                f"{target.variable}: its user may not create schemas in the database, and there is no schema {SCHEMA}. "
                "Let the owner of the database run `grant create on database ... to` it."
            )
        return found


def publish(content: Content, target: TargetSetting, *, replace_all: bool, purge: bool) -> Publication:
    """Publish all tables in one transaction. Tables whose fingerprint is that of the mark are not written.

    With `purge`, all tables are compared with the warehouse again, and the space of deleted rows is freed, so that no
    file of the server has them after its next checkpoint.

    Raises:
        TargetError: the server cannot be reached, or refuses, or holds something that must not be replaced.
    """
    with connected(target) as connection:
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
            database = _Database(connection, content, target, compares_all=purge)
            publication = database.publish(replace_all=replace_all)
        if purge:
            notes = _free_space(connection, database, target)
            publication = replace(publication, notes=(*publication.notes, *notes))
        return publication


def _free_space(
    connection: psycopg.Connection[Any], database: _Database, target: TargetSetting
) -> tuple[str, ...]:
    """Free the space of deleted rows and statistics, after the publication; return notes.

    Raises:
        TargetError: a table cannot be locked; the publication itself is there.
    """
    import psycopg

    try:
        for name in database.names:
            connection.execute(f"vacuum (full, analyze) {name}")
        return free_statistics(connection)
    except psycopg.Error as error:
        raise TargetError(
            f"{target.variable} has been published to, but the space of deleted rows could not be freed "
            f"({reason_of(error, target)}), so the server's files may still hold an erased person. Close the sessions "
            f"that use the tables, then run `{command()} publish {target.name} --purge`."
        ) from None


@dataclass
class _Database:
    """A publication to one database, inside its transaction."""

    connection: psycopg.Connection[Any]
    content: Content
    target: TargetSetting
    compares_all: bool = False
    """Whether to write tables, too, whose fingerprint is that of the mark: rows may have been changed by hand."""
    written: int = 0
    rows: int = 0
    """Number of rows that were inserted."""

    @property
    def names(self) -> list[str]:
        """The quoted names of the published tables in the database, without views."""
        return [self.name(table) for table in self.content.tables if table.view is None]

    def name(self, table: Table) -> str:
        return place(self._label(table))

    def publish(self, *, replace_all: bool) -> Publication:
        found = self._read_marks()
        check_marks(found, self.content, self.target, replace=replace_all)
        earlier = published_labels(found, self.content)
        present = find_relations(
            self.connection, {label.partition(".")[0] for label in earlier} | set(self._schemas)
        )
        plan = plan_of(self.content, self.target, found, present, self._label)
        drop_relations(self.connection, self.target, plan.gone)
        for label in plan.gone:
            self._take_buckets(label)
        to_write = {
            label: table
            for label, table in plan.tables.items()
            if label not in plan.unchanged or (self.compares_all and table.view is None)
        }
        settings: list[str] = []
        for label, view in self._hindering_views(plan.tables, to_write, present):
            settings += settings_of(self.connection, label, [c.name for c in view.columns])
            drop_view(self.connection, self.target, label)
            to_write[label] = view
        for label, table in plan.tables.items():
            if label in to_write:
                settings += self._write(label, table, present.get(label))
                self.written += 1
        for statement in settings:
            self.connection.execute(statement)
        self._write_marks(marks_of(self.content, plan.tables))
        unchanged = len(plan.tables) - self.written
        return Publication(self.target.name, self.content.observed_at, self.written, unchanged, self.rows)

    def _hindering_views(
        self, tables: dict[str, Table], to_write: dict[str, Table], present: dict[str, dict[str, str]]
    ) -> list[tuple[str, Table]]:
        """Return our views that keep the tables that they read from being altered."""
        altered = [
            table.relation
            for label, table in to_write.items()
            if label in present and difference_of(table, present[label]).is_felt_by_views
        ]
        return [
            (label, view)
            for label, view in tables.items()
            if view.view is not None and label in present and any(name in view.view for name in altered)
        ]

    def _read_marks(self) -> list[Mark]:
        """Return the mark; create its table in a database that has none and none of our schemas."""
        if self._is_marked():
            return self.marks()
        if filled := find_relations(self.connection, self._schemas):
            raise refuse_unmarked(
                self.target, f"the schema {next(iter(filled)).partition('.')[0]} has tables"
            )
        columns = ", ".join(f"{quoted(name)} {postgres_type(kind)}" for name, (kind, _) in COLUMNS.items())
        self._create_schema(SCHEMA)
        self.connection.execute(f"create table {SCHEMA}.{TABLE} ({columns})")
        self._comment(f"{SCHEMA}.{TABLE}", DESCRIPTION, {name: text for name, (_, text) in COLUMNS.items()})
        buckets = ", ".join(f"{quoted(column)} bigint" for column in STATE_COLUMNS)
        self.connection.execute(f'create table {BUCKETS} ("table" text, {buckets})')
        return []

    def marks(self) -> list[Mark]:
        """Return the mark; nothing if there is none."""
        if not self._is_marked():
            return []
        names = ", ".join(map(quoted, COLUMNS))
        return [Mark(*row) for row in self.connection.execute(f"select {names} from {SCHEMA}.{TABLE}")]

    def _create_schema(self, name: str) -> None:
        """Create a schema, if there is none: even `if not exists` needs the right to create schemas."""
        found = self.connection.execute("select 1 from pg_namespace where nspname = %s", [name])
        if not found.fetchone():
            self.connection.execute(f"create schema {quoted(name)}")

    def _is_marked(self) -> bool:
        return f"{SCHEMA}.{TABLE}" in find_relations(self.connection, [SCHEMA])

    @property
    def _schemas(self) -> list[str]:
        return sorted({self._schema(table) for table in self.content.tables})

    def _schema(self, table: Table) -> str:
        return shortened(self.content.schema_name(table.schema))

    def _label(self, table: Table) -> str:
        return f"{self._schema(table)}.{shortened(table.name)}"

    def _write(self, label: str, table: Table, present: dict[str, str] | None) -> list[str]:
        """Write a table or view; return the statements that restore what a user has set on a view."""
        self._create_schema(self._schema(table))
        settings: list[str] = []
        if table.view is not None:
            select = self.content.select_of(table, self.name)
            settings = write_view(
                self.connection, self.target, label, [c.name for c in table.columns], select
            )
        else:
            table = self._without_long_key(table)
            is_empty = present is None
            if present is None:
                create_table(self.connection, label, table)
            else:
                is_empty = alter_table(self.connection, self.target, label, table, present)
            self._write_rows(table, is_empty=is_empty)
        comments = {column.name: column.comment for column in table.columns}
        self._comment(self.name(table), table.comment, comments, is_view=table.view is not None)
        return settings

    def _without_long_key(self, table: Table) -> Table:
        """Return a table without its key if a row's key is too long for an index."""
        texts = [c for c in table.columns if c.name in table.key and postgres_type(c.type) in _LONG_TYPES]
        if not texts:
            return table
        length = " + ".join(f"strlen({as_text(column)})" for column in texts)
        longest = scalar(self.content.connection, f"select max({length}) from {table.source}")
        return replace(table, key=()) if (longest or 0) > _KEY_BYTES else table

    def _write_rows(self, table: Table, *, is_empty: bool) -> None:
        name = self.name(table)
        # Taken in any case: hashes of an earlier version would be wrong after this one is written.
        known = self._take_buckets(self._label(table))
        if table.rows > LARGE_ROWS and (
            changes := find_changes(self.content, table, None if is_empty or self.compares_all else known)
        ):
            self._write_changes(table, changes)
            return
        if is_empty or not table.key:
            if not is_empty:
                self.connection.execute(f"delete from {name}")
            self._copy(name, table)
            self.rows += table.rows
            return
        self.connection.execute("drop table if exists pg_temp.rivo_rows")
        self.connection.execute(f"create temporary table rivo_rows (like {name}) on commit drop")
        self._copy("pg_temp.rivo_rows", table)
        self.connection.execute("analyze pg_temp.rivo_rows")
        columns = [identifier(column.name) for column in table.columns]
        new, old = (", ".join(f"{row}.{column}" for column in columns) for row in "nt")
        same_key = " and ".join(f"n.{identifier(column)} = t.{identifier(column)}" for column in table.key)
        self.connection.execute(
            f"delete from {name} t where not exists "
            f"(select 1 from pg_temp.rivo_rows n where {same_key} and ({new}) is not distinct from ({old}))"
        )
        inserted = self.connection.execute(
            f"insert into {name} ({', '.join(columns)}) select {new} from pg_temp.rivo_rows n "
            f"where not exists (select 1 from {name} t where {same_key})"
        )
        self.rows += inserted.rowcount

    def _take_buckets(self, label: str) -> pa.Table:
        """Return the hashes of a table's ranges that an earlier publication has left, and delete them."""
        import pyarrow as pa

        names = ", ".join(map(quoted, STATE_COLUMNS))
        rows = self.connection.execute(
            f'delete from {BUCKETS} where "table" = %s returning {names}', [label]
        ).fetchall()
        values = zip(*rows, strict=True) if rows else [()] * len(STATE_COLUMNS)
        return pa.table([pa.array(each, pa.int64()) for each in values], names=list(STATE_COLUMNS))

    def _write_changes(self, table: Table, changes: Changes) -> None:
        """Replace the rows in the ranges of ids that have changed, and keep the hashes of all ranges."""
        name, connection = self.name(table), self.connection
        if changes.is_whole:
            connection.execute(f"delete from {name}")
        else:
            connection.execute("drop table if exists pg_temp.rivo_ranges")
            connection.execute("create temporary table rivo_ranges (first bigint) on commit drop")
            first = [Column("first", "BIGINT")]
            changed = f'(select "first" from {changes.buckets} where is_changed)'
            self._copy_rows("pg_temp.rivo_ranges", first, changed)
            number = f"t.{identifier(changes.column.name)}"
            number = f"({number} - date '1970-01-01')" if changes.column.type == "DATE" else number
            start = f"{number} - (({number} % {changes.width} + {changes.width}) % {changes.width})"
            connection.execute(f"delete from {name} t using pg_temp.rivo_ranges r where {start} = r.first")
        self._copy_rows(name, table.columns, f"({changes.select})")
        self.rows += changes.rows
        state = f'(select {literal(self._label(table))} as "table", * from ({changes.state()}))'
        columns = [Column("table", "VARCHAR"), *(Column(column, "BIGINT") for column in STATE_COLUMNS)]
        self._copy_rows(BUCKETS, columns, state)

    def _copy(self, name: str, table: Table) -> None:
        self._copy_rows(name, table.columns, table.source)

    def _copy_rows(self, name: str, columns: Sequence[Column], rows: str) -> None:
        names = ", ".join(identifier(column.name) for column in columns)
        with self.connection.cursor().copy(f"copy {name} ({names}) from stdin (format csv)") as copy:
            for block in as_csv(self.content, columns, rows):
                copy.write(block)

    def _comment(
        self, name: str, comment: str | None, columns: dict[str, Any], *, is_view: bool = False
    ) -> None:
        statements = [f"comment on {'view' if is_view else 'table'} {name} is {literal(comment)}"]
        statements += [
            f"comment on column {name}.{identifier(column)} is {literal(text)}"
            for column, text in columns.items()
        ]
        self.connection.execute("; ".join(statements))

    def _write_marks(self, marks: Iterable[Mark]) -> None:
        self.connection.execute(
            f"delete from {SCHEMA}.{TABLE} where shop = %s or warehouse_id = %s",
            [self.content.shop, self.content.warehouse_id],
        )
        places = ", ".join(["%s"] * len(COLUMNS))
        with self.connection.cursor() as cursor:
            cursor.executemany(
                f"insert into {SCHEMA}.{TABLE} values ({places})", [mark.values for mark in marks]
            )

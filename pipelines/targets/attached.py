"""Publishing to a database that DuckDB attaches: a lake, or one of MotherDuck. The caller holds the transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import duckdb

from pipelines.errors import command
from pipelines.sql import literal, quoted
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
    without_secret,
)
from pipelines.targets.plan import plan_of, published_labels
from pipelines.targets.publication import Publication

BUCKETS = "buckets"
"""Table of `rivo_meta` with a hash for each range of ids of the large tables."""
Columns = list[tuple[str, str]]
"""Names and types of the columns of a table, in their order."""


@dataclass
class Attached:
    """A publication to an attached database, inside its transaction."""

    catalog: str
    """Name under which the database is attached."""
    content: Content
    target: TargetSetting
    schemas_by_shop: bool
    """Whether several shops share the database, so that the name of a schema begins with the shop's."""
    touched: list[str] = field(default_factory=list)
    """Labels of the tables that were written or dropped."""
    written: int = 0
    rows: int = 0
    changes: dict[str, Changes] = field(default_factory=dict)
    """By label, what has changed in the large tables."""
    comments: dict[str, dict[str, str]] = field(default_factory=dict)
    """By label, the comments that columns have in the database."""
    _found: list[Mark] | None = None
    """The mark, when `find_changes` read the target."""

    def find_changes(self, *, rewrite: bool = False) -> None:
        """Find the rows of large tables that have changed. To be called before the transaction: it writes into memory.

        With `rewrite`, all rows count as changed.
        """
        large = {self._label(table): table for table in self.content.tables if table.rows > LARGE_ROWS}
        if not large:
            return
        self._found = self.marks()
        current = {mark.table: mark.fingerprint for mark in self._found if mark.shop == self.content.shop}
        present = self._present()
        has_buckets = any(name == BUCKETS for _, name, _ in self._relations([SCHEMA]))
        for label, table in large.items():
            if not rewrite and label in present and current.get(label) == table.fingerprint:
                continue
            known = None
            if has_buckets and not rewrite and present.get(label) == _columns(table):
                names = ", ".join(map(quoted, STATE_COLUMNS))
                known = self.content.connection.execute(
                    f'select {names} from {self._quoted(f"{SCHEMA}.{BUCKETS}")} where "table" = ?', [label]
                ).to_arrow_table()
            if found := find_changes(self.content, table, known):
                self.changes[label] = found

    def publish(self, *, replace_all: bool, rewrite: bool = False) -> Publication:
        """Write the tables that have changed, or all with `rewrite`, drop those that are gone, and write the mark.

        Raises:
            TargetError: the database holds something that must not be replaced.
            duckdb.Error: DuckDB or the server refuses.
        """
        found = self._read_marks()
        if self._found is not None and found != self._found:
            raise duckdb.TransactionException("the target has another mark than a moment ago")
        check_marks(found, self.content, self.target, replace=replace_all)
        present = self._present(published_labels(found, self.content))
        plan = plan_of(self.content, self.target, found, present, self._label)
        self._find_comments()
        for label in plan.gone:
            self._execute(f"drop {'table' if present[label] else 'view'} {self._quoted(label)}")
            self.touched.append(label)
        for label, table in plan.tables.items():
            if label in plan.unchanged and not rewrite:
                continue
            self._write(label, table, present.get(label), rewrite=rewrite)
            self.touched.append(label)
            self.written += 1
        self._write_buckets()
        self._write_marks(marks_of(self.content, plan.tables))
        unchanged = len(plan.tables) - self.written
        return Publication(self.target.name, self.content.observed_at, self.written, unchanged, self.rows)

    def _execute(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        return self.content.connection.execute(sql, parameters or None).fetchall()

    def _schema(self, schema: str) -> str:
        return self.content.schema_name(schema) if self.schemas_by_shop else schema

    def _label(self, table: Table) -> str:
        return f"{self._schema(table.schema)}.{table.name}"

    def _quoted(self, label: str) -> str:
        schema, _, name = label.partition(".")
        return f"{quoted(self.catalog)}.{quoted(schema)}.{quoted(name)}"

    def _read_marks(self) -> list[Mark]:
        """Return the mark; create its table in a database that has none and no table in our schemas."""
        mark = self._quoted(f"{SCHEMA}.{TABLE}")
        schemas = sorted({self._schema(table.schema) for table in self.content.tables})
        if self._relations([SCHEMA]):
            return self.marks()
        if filled := self._relations(schemas):
            raise refuse_unmarked(self.target, f"the schema {filled[0][0]} has tables")
        columns = [Column(name, kind, comment) for name, (kind, comment) in COLUMNS.items()]
        self._execute(f"create schema if not exists {quoted(self.catalog)}.{quoted(SCHEMA)}")
        self._execute(f"create table {mark} ({', '.join(f'{quoted(c.name)} {c.type}' for c in columns)})")
        self._comment(f"{SCHEMA}.{TABLE}", DESCRIPTION, columns, is_view=False)
        return []

    def marks(self) -> list[Mark]:
        """Return the mark, in an order of its own; nothing if there is none."""
        if not self._relations([SCHEMA]):
            return []
        names = ", ".join(map(quoted, COLUMNS))
        rows = self._execute(f"select {names} from {self._quoted(f'{SCHEMA}.{TABLE}')} order by shop, 1")
        return [Mark(*row) for row in rows]  # type: ignore[arg-type]

    def _relations(self, schemas: Iterable[str]) -> list[tuple[object, ...]]:
        """Return schema, name and whether it is a table, of the tables and views in some schemas."""
        among = ", ".join(map(literal, schemas))
        return self._execute(
            f"select schema_name, table_name, true from duckdb_tables() where database_name = {literal(self.catalog)} "
            f"and schema_name in ({among}) union all "
            f"select schema_name, view_name, false from duckdb_views() where database_name = {literal(self.catalog)} "
            f"and schema_name in ({among}) order by 1, 2"
        )

    def _present(self, earlier: Iterable[str] = ()) -> dict[str, Columns]:
        """Return the columns of the tables in our schemas, earlier ones too, by label; none of a view."""
        schemas = sorted(
            {self._schema(table.schema) for table in self.content.tables}
            | {label.partition(".")[0] for label in earlier}
        )
        found: dict[str, Columns] = {f"{schema}.{name}": [] for schema, name, _ in self._relations(schemas)}
        tables = {f"{schema}.{name}" for schema, name, is_table in self._relations(schemas) if is_table}
        for schema, name, column, kind in self._execute(
            "select schema_name, table_name, column_name, data_type from duckdb_columns() "
            f"where database_name = {literal(self.catalog)} and schema_name in ({', '.join(map(literal, schemas))}) "
            "order by column_index"
        ):
            if f"{schema}.{name}" in tables:
                found[f"{schema}.{name}"].append((str(column), str(kind)))
        return found

    def _find_comments(self) -> None:
        for schema, name, column, comment in self._execute(
            "select schema_name, table_name, column_name, comment from duckdb_columns() "
            f"where database_name = {literal(self.catalog)} and comment is not null"
        ):
            self.comments.setdefault(f"{schema}.{name}", {})[str(column)] = str(comment)

    def _write(self, label: str, table: Table, present: Columns | None, *, rewrite: bool) -> None:
        name = self._quoted(label)
        schema = label.partition(".")[0]
        self._execute(f"create schema if not exists {quoted(self.catalog)}.{quoted(schema)}")
        if table.view is not None:
            select = self.content.select_of(
                table, lambda each: f"{quoted(self._schema(each.schema))}.{quoted(each.name)}"
            )
            self._execute(f"create or replace view {name} as {select}")
        elif present == _columns(table) and not rewrite:
            if (found := self.changes.get(label)) and not found.is_whole:
                self._execute(f"delete from {name} where {found.is_in_changed(quoted(found.column.name))}")
                self._execute(f"insert into {name} {found.select}")
                self.rows += found.rows
            else:
                self._execute(f"delete from {name}")
                self._execute(f"insert into {name} select * from {table.source}")
                self.rows += table.rows
        else:
            self._execute(f"create or replace table {name} as select * from {table.source}")
            self.comments.pop(label, None)
            self.rows += table.rows
        self._comment(label, table.comment, table.columns, is_view=table.view is not None)

    def _comment(self, label: str, comment: str | None, columns: Iterable[Column], *, is_view: bool) -> None:
        name = self._quoted(label)
        self._execute(f"comment on {'view' if is_view else 'table'} {name} is {literal(comment)}")
        known = self.comments.get(label, {})
        # A lake keeps no comments on the columns of a view.
        for column in columns if not is_view else ():
            if column.comment != known.get(column.name):
                self._execute(f"comment on column {name}.{quoted(column.name)} is {literal(column.comment)}")

    def _write_buckets(self) -> None:
        """Keep the hashes by which the next publication finds what has changed in the large tables.

        Those of all tables that were written or dropped are replaced: of an earlier version they would be wrong.
        """
        name = self._quoted(f"{SCHEMA}.{BUCKETS}")
        if any(found == BUCKETS for _, found, _ in self._relations([SCHEMA])):
            self._execute(f'delete from {name} where "table" in (select unnest(?))', [self.touched])
        elif self.changes:
            columns = ", ".join(f"{quoted(column)} bigint" for column in STATE_COLUMNS)
            self._execute(f'create table {name} ("table" varchar, {columns})')
        for label in sorted(self.changes.keys() & set(self.touched)):
            self._execute(f"insert into {name} select ?, * from ({self.changes[label].state()})", [label])

    def _write_marks(self, marks: Iterable[Mark]) -> None:
        name = self._quoted(f"{SCHEMA}.{TABLE}")
        self._execute(
            f"delete from {name} where shop = ? or warehouse_id = ?",
            [self.content.shop, self.content.warehouse_id],
        )
        # One statement, because a lake writes a file for each.
        row = f"({', '.join('?' * len(COLUMNS))})"
        values = [value for mark in marks for value in mark.values]
        if values:
            self._execute(
                f"insert into {name} values {', '.join([row] * (len(values) // len(COLUMNS)))}", values
            )


def _columns(table: Table) -> Columns:
    return [(column.name, column.type) for column in table.columns]


def overtaken(target: TargetSetting, error: BaseException) -> TargetError | None:
    """Return the error for a transaction that lost against that of another process; None for any other error."""
    if not isinstance(error, duckdb.TransactionException):
        return None
    return TargetError(
        f"{target.variable}: another process published to it at the same time and was faster "
        f"({without_secret(error, target)}). It has that publication. Run `{command()} publish {target.name}` again."
    )


def roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    """Roll a transaction back, if it has not ended."""
    # A failed commit has ended it.
    with suppress(duckdb.Error):
        connection.execute("rollback")

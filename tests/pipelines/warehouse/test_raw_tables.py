"""Tables of `rivo_raw`: comments follow the descriptions, and the rows of an older log are numbered."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.rivo.columns import Column
from pipelines.sql import scalar
from pipelines.warehouse import Warehouse, raw_tables
from pipelines.warehouse.backup import Backup, load_backup
from pipelines.warehouse.raw_tables import ensure_tables

OLDER_LOG = """
    alter table rivo_raw.sync_log drop column log_position;
    insert into rivo_raw.sync_log (list, observed_at, complete) values
        ('rewards', '2026-10-05 06:00:00+00', true),
        ('customers', '2026-10-05 06:00:00+00', false),
        ('customers', '2026-10-05 06:00:00+00', true);
"""


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


class Recorder:
    """A connection that records the statements it executes."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.statements: list[str] = []

    def execute(self, sql: str, *parameters: Any) -> duckdb.DuckDBPyConnection:
        self.statements.append(sql)
        return self._connection.execute(sql, *parameters)


def table_comment(connection: duckdb.DuckDBPyConnection, table: str) -> Any:
    return scalar(connection, "select comment from duckdb_tables() where table_name = ?", [table])


def column_comment(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> Any:
    return scalar(
        connection,
        "select comment from duckdb_columns() where table_name = ? and column_name = ?",
        [table, column],
    )


def log(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select log_position, list, complete from rivo_raw.sync_log order by log_position"
    ).fetchall()


def describe(monkeypatch: pytest.MonkeyPatch, table: str, description: str, *columns: Column) -> None:
    """Declare a table of `rivo_raw` in another way, as a later release might."""
    declared = raw_tables.raw_tables() | {table: (description, columns)}
    monkeypatch.setattr(raw_tables, "raw_tables", lambda: declared)


def test_ensure_tables_writes_changed_descriptions(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_tables(connection)
    _, columns = raw_tables.raw_tables()["customers"]
    changed = [dataclasses.replace(column, description=f"{column.name}, the owner's") for column in columns]
    describe(monkeypatch, "customers", "The customers' table.", *changed)

    ensure_tables(connection)

    assert table_comment(connection, "customers") == "The customers' table."
    assert [column_comment(connection, "customers", each.name) for each in columns] == [
        each.description for each in changed
    ]


def test_ensure_tables_describes_a_column_that_was_undeclared_before(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_tables(connection)
    connection.execute("alter table rivo_raw.customers add column nickname varchar")
    connection.execute("comment on column rivo_raw.customers.nickname is 'Not declared by this release.'")
    description, columns = raw_tables.raw_tables()["customers"]
    describe(monkeypatch, "customers", description, *columns, Column("nickname", "text", "The short name."))

    ensure_tables(connection)

    assert column_comment(connection, "customers", "nickname") == "The short name."


def test_ensure_tables_changes_nothing_when_repeated(connection: duckdb.DuckDBPyConnection) -> None:
    first, second = Recorder(connection), Recorder(connection)
    catalog = "select (table_name, column_name, data_type, comment) from duckdb_columns() order by all"
    ensure_tables(first)  # type: ignore[arg-type]
    before = connection.execute(catalog).fetchall()

    ensure_tables(second)  # type: ignore[arg-type]

    assert any("comment on" in sql for sql in first.statements)
    assert not [
        sql for sql in second.statements if "comment on" in sql or "alter" in sql or "create table" in sql
    ]
    assert connection.execute(catalog).fetchall() == before


def test_ensure_tables_numbers_an_older_log_in_the_order_of_its_rows(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    ensure_tables(connection)
    connection.execute(OLDER_LOG)

    ensure_tables(connection)

    older = [(1, "rewards", True), (2, "customers", False), (3, "customers", True)]
    assert log(connection) == older
    # After a downgrade, the older release adds a row without a number, to a log whose numbers lie above its row ids.
    connection.execute("update rivo_raw.sync_log set log_position = log_position + 100")
    connection.execute("insert into rivo_raw.sync_log (list, complete) values ('referrals', true)")
    ensure_tables(connection)
    assert log(connection) == [
        *((position + 100, name, complete) for position, name, complete in older),
        (104, "referrals", True),
    ]


def test_load_backup_numbers_an_older_log(tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir()
    file = folder / "sync_log.parquet"
    with duckdb.connect() as older:
        ensure_tables(older)
        older.execute(OLDER_LOG)
        older.execute(f"copy rivo_raw.sync_log to '{file}' (format parquet)")
        columns = raw_tables.existing_columns(older)["sync_log"]
    table = {
        "file": file.name,
        "rows": 3,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "columns": columns,
    }
    made = Backup(folder, "0.1.0", "2026-10-05T06:00:00+00:00", "a shop", None, {"sync_log": table})

    with Warehouse(tmp_path / "rivo.duckdb").build(is_fresh=True) as build:
        ensure_tables(build.connection)
        notes = load_backup(build, made)
        found = log(build.connection)

    assert notes == [], "the missing numbers are not reported as null"
    assert found == [(1, "rewards", True), (2, "customers", False), (3, "customers", True)]


def test_publications_are_later_than_those_before_whatever_the_clock_says(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    raw_tables.note_publication(connection)
    ensure_tables(connection)
    raw_tables.note_publication(connection)
    connection.execute("update rivo_raw._publication set published_at = '2999-12-31 00:00:00+00'")
    raw_tables.note_erasure(connection)
    raw_tables.note_publication(connection)
    found = connection.execute(
        "select published_at > '2999-12-31 00:00:00+00', erased_at < now() + interval 1 minute "
        "from rivo_raw._publication"
    )
    assert found.fetchall() == [(True, True)]

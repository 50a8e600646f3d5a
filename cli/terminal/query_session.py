"""The published warehouse, opened for queries: by one command, or for as long as a prompt is open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import duckdb

from cli.terminal import query_formats
from cli.terminal.query_errors import sentence
from cli.terminal.table_list import asks_for_tables, search_all_schemas
from cli.terminal.tables import counted, print_result, shortened, terminal
from pipelines.sql import quoted, scalar
from pipelines.warehouse import RAW, AllShops, Warehouse

TABLE_ROWS = 200
"""Maximum number of rows that a table shows."""
_FILES = "select database_name from duckdb_databases() where path is not null"
"""Names of the database files that are open: one, or one for each shop."""


class QuerySession:
    """A read-only connection to the published warehouse, for queries that name tables with or without their schema.

    It can be the warehouses of all shops as one.
    """

    def __init__(self, warehouse: Warehouse | AllShops, spill: str) -> None:
        self.warehouse = warehouse
        self._spill = spill
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._version: object = None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection, opened at first use.

        Raises:
            NoWarehouse: nothing has been published.
            WarehouseError: the file cannot be opened.
        """
        if self._connection is None:
            # Read before the file is opened: a sync that publishes in between is found by the next look.
            self._version = self.warehouse.version
            self._connection = self.warehouse.read(self._spill)
            search_all_schemas(self._connection)
        return self._connection

    @property
    def observed_at(self) -> datetime | None:
        """Time of the newest data, or the earliest such time of several shops; None before the first complete read."""
        files = self.connection.execute(_FILES).fetchall()
        newest = "select max(observed_at) from {}.{}.sync_log where complete"
        times = [scalar(self.connection, newest.format(quoted(name), RAW)) for [name] in files]
        return None if None in times else min(times)

    def follow(self) -> bool:
        """Reopen the warehouse if a sync has published since it was opened. Return whether it was reopened."""
        if self._connection is None or self.warehouse.version == self._version:
            return False
        # DuckDB gives two connections of a process to one path the same file, so the old one is closed first.
        self.close()
        return True

    def close(self) -> None:
        """Close the connection; the next use opens the file that is published then."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def interrupt(self) -> None:
        """End the statement that is running with an error. A signal handler may call it."""
        if self._connection is not None:
            self._connection.interrupt()

    def show(self, sql: str) -> None:
        """Run one statement that reads, and print its rows as a table."""
        with self.explained():
            _print_table(query_formats.select(self.connection, sql), is_list=asks_for_tables(sql))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn DuckDB's errors into messages for people.

        Raises:
            RivoError: what was wrong with the SQL, or with the file.
        """
        try:
            yield
        except duckdb.Error as error:
            raise self.warehouse.damage(error) or sentence(self.connection, error) from None


@contextmanager
def query_session(warehouse: Warehouse | AllShops) -> Iterator[QuerySession]:
    """Open the published warehouse for queries.

    Raises:
        RivoError: there is none, or it cannot be opened.
    """
    with query_formats.spill_folder() as spill:
        session = QuerySession(warehouse, spill)
        try:
            yield session
        finally:
            session.close()


def split(sql: str) -> list[str]:
    """Split SQL at the semicolons between its statements, by DuckDB's tokens; empty statements are left out."""
    text = sql.encode()
    starts = [start for start, _ in duckdb.tokenize(sql)]
    ends = [start for start in starts if text[start : start + 1] == b";"]
    pieces = [text[a:b].decode() for a, b in zip([0, *(end + 1 for end in ends)], [*ends, None], strict=True)]
    return [piece for piece in pieces if duckdb.tokenize(piece)]


def is_ended(sql: str) -> bool:
    """Return whether SQL ends with a semicolon that is not part of a text or a comment."""
    tokens = duckdb.tokenize(sql)
    return bool(tokens) and sql.encode()[tokens[-1][0] :].startswith(b";")


def _print_table(relation: duckdb.DuckDBPyRelation, *, is_list: bool) -> None:
    # One row more than is shown, to know whether there are more.
    rows = relation.fetchmany(TABLE_ROWS + 1)
    console = terminal()
    if is_list:
        rows = shortened(rows, relation.columns, console.width)
    shown = print_result(console, relation.columns, rows[:TABLE_ROWS])
    is_cut = shown < len(rows)
    text = f"first {counted(shown, 'row')} (--format csv shows all)" if is_cut else counted(shown, "row")
    console.print(text, style="dim", highlight=False)

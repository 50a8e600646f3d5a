"""Turns DuckDB's errors about a query into messages with the nearest names."""

from __future__ import annotations

import difflib
import re

import duckdb

from pipelines.errors import RivoError

_NO_TABLE = re.compile(r"Table with name (\S+?) does not exist")
_NO_COLUMN = re.compile(
    r'(?:Referenced column "(?P<free>.+?)" not found|does not have a column named "(?P<bound>.+?)")'
)
_CANDIDATES = re.compile(r"Candidate bindings: :?\s*(.+)")
_SQL_LINE = re.compile(r"^LINE \d+: ")


def sentence(connection: duckdb.DuckDBPyConnection, error: duckdb.Error) -> RivoError:
    """Return an error that says what is wrong, where, and which names are nearest."""
    text = re.sub(r"^[\w ]+ Error: ", "", str(error).strip())
    if found := _NO_TABLE.search(text):
        return RivoError(
            f"There is no table {found[1]} in the warehouse.{_nearest_tables(connection, found[1])}"
        )
    if found := _NO_COLUMN.search(text):
        name = found["free"] or found["bound"]
        near = _CANDIDATES.search(text)
        names = f" Nearest: {near[1].strip().replace(chr(34), '')}." if near else ""
        return RivoError(f"The tables in this query have no column {name}.{names}\n{_place(text)}".rstrip())
    if isinstance(error, duckdb.PermissionException):
        return RivoError(
            "`rivo query` can only read the warehouse. Access to other files and the network is disabled."
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return RivoError(
            "The query needs more memory or temporary disk space than is available. Select fewer rows or columns. "
            f"({text.splitlines()[0]})"
        )
    if isinstance(error, duckdb.InterruptException):
        # An error in one thread interrupts the others, and DuckDB sometimes reports that instead.
        return RivoError(
            "A part of the query failed, and DuckDB did not report its error. Run the query again to see it."
        )
    first = text.splitlines()[0].rstrip(".!")
    return RivoError(f"DuckDB cannot run this SQL: {first}.\n{_place(text)}".rstrip())


def _nearest_tables(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    known = [
        f"{schema}.{table}"
        for schema, table in connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where table_catalog = current_database() order by all"
        ).fetchall()
    ]
    bare = name.split(".")[-1].strip('"').lower()
    by_table = {full.split(".")[1]: full for full in known}
    if bare in by_table:
        return f" Its schema is another one: {by_table[bare]}."
    near = [by_table[match] for match in difflib.get_close_matches(bare, by_table, n=3, cutoff=0.6)]
    names = f" Nearest: {', '.join(near)}." if near else ""
    return f'{names} To list all tables: rivo query "show tables".'


def _place(text: str) -> str:
    """Return the line that DuckDB quotes and the caret below it, without the line number."""
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if _SQL_LINE.match(line)), None)
    if start is None:
        return ""
    prefix = len(_SQL_LINE.match(lines[start])[0])  # type: ignore[index]
    return "\n".join(f"  {line[prefix:]}" for line in lines[start : start + 2])

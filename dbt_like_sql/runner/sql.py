"""SQL helpers shared by several modules."""

from __future__ import annotations

import duckdb


def literal(text: str | None) -> str:
    """Quote a string as an SQL literal; None becomes null."""
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + str(name).replace('"', '""') + '"'


def tables(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    """Return the tables and views of the database as (schema, name) in lower case."""
    rows = connection.execute(
        "select lower(table_schema), lower(table_name) from information_schema.tables "
        "where table_catalog = current_database()"
    )
    return {(schema, name) for schema, name in rows.fetchall()}


def describe(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[tuple[str, str], ...]:
    """Return the name and type of each column of a table, in order."""
    rows = connection.execute(f"describe {relation}").fetchall()
    return tuple((str(row[0]), str(row[1])) for row in rows)

"""Small pieces of SQL that several modules write or ask."""

from __future__ import annotations

import duckdb


def literal(text: str | None) -> str:
    """Quote a text as a string literal; None is null."""
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + str(name).replace('"', '""') + '"'


def tables(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    """List the tables and views of the database as (schema, name), lower case."""
    rows = connection.execute(
        "select lower(table_schema), lower(table_name) from information_schema.tables "
        "where table_catalog = current_database()"
    )
    return {(schema, name) for schema, name in rows.fetchall()}


def describe(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[tuple[str, str], ...]:
    """List the columns of a table with their types."""
    rows = connection.execute(f"describe {relation}").fetchall()
    return tuple((str(row[0]), str(row[1])) for row in rows)

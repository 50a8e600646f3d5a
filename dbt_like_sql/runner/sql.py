"""SQL helpers shared by several modules."""

from __future__ import annotations

import duckdb


def literal(text: str | None) -> str:
    """Quote a text of ours as a string literal; None becomes null. Values of the data are passed as parameters.

    U+0000 would end a statement and half a surrogate pair cannot be sent, so U+FFFD stands for both.
    """
    if text is None:
        return "null"
    whole = text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "'" + whole.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + str(name).replace('"', '""') + '"'


def tables(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], str]:
    """Return 'table' or 'view' for each table and view of the database, by (schema, name) in lower case."""
    rows = connection.execute(
        "select lower(table_schema), lower(table_name), if(table_type = 'VIEW', 'view', 'table') "
        "from information_schema.tables where table_catalog = current_database()"
    )
    return {(schema, name): kind for schema, name, kind in rows.fetchall()}


def describe(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[tuple[str, str], ...]:
    """Return the name and type of each column of a table, in order."""
    rows = connection.execute(f"describe {relation}").fetchall()
    return tuple((str(row[0]), str(row[1])) for row in rows)

"""Quoting for SQL, and queries that return one value. Pass values of the data as parameters, never as literals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb


def literal(text: str | None) -> str:
    """Quote a text as a string literal; None becomes null."""
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def scalar(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
) -> Any:
    """Return the value of a query that returns one row of one column.

    Raises:
        ValueError: the query returns another number of rows or columns.
    """
    [[value]] = connection.execute(sql, parameters or None).fetchall()
    return value


def exists(
    connection: duckdb.DuckDBPyConnection, rows: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
) -> bool:
    """Return whether `rows`, written as `from table where ...`, returns a row."""
    return bool(scalar(connection, f"select exists ({rows})", parameters))

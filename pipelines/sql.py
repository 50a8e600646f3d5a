"""Quoting for SQL, and queries that return one value. Pass values of the data as parameters, never as literals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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

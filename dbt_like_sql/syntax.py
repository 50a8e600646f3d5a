"""Is this text one SELECT? Asked of DuckDB itself, which is going to run it."""

from __future__ import annotations

from functools import cache
from pathlib import PurePath

import duckdb

from dbt_like_sql.errors import ProjectError


def check_syntax(sql: str, path: PurePath) -> None:
    """Raise a ProjectError unless `sql` is exactly one SELECT that DuckDB can parse."""
    try:
        statements = _parser().extract_statements(sql)
    except duckdb.Error as error:
        raise _syntax_error(sql, path, error) from None
    if not statements:
        raise ProjectError(f"{path} is empty: it must hold one SELECT.")
    if len(statements) > 1:
        raise ProjectError(f"{path} holds {len(statements)} statements: it must hold exactly one SELECT.")
    kind = statements[0].type.name
    if kind != "SELECT":
        article = "an" if kind[0] in "AEIOU" else "a"
        raise ProjectError(f"{path} holds {article} {kind} statement: it must be a plain SELECT.")


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def _syntax_error(sql: str, path: PurePath, error: duckdb.Error) -> ProjectError:
    reason = str(error).partition("\n")[0].removeprefix("Parser Error: ")
    # Only this function tells the position as a number; it counts bytes.
    row = _parser().execute("select (json_serialize_sql($1) ->> 'position')::int", [sql]).fetchone()
    if row is None or row[0] is None:
        return ProjectError(f"{path}: {reason}.")
    before = sql.encode()[: row[0]].decode(errors="ignore")
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    text = (sql.splitlines() or [""])[min(line, len(sql.splitlines())) - 1].strip()
    return ProjectError(f"{path}, line {line}, column {column}: {reason}, in: {text}")

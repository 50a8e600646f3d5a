"""Syntax check of a SELECT with DuckDB's own parser."""

from __future__ import annotations

import json
from functools import cache
from pathlib import PurePath

import duckdb

from dbt_like_sql.runner.errors import ProjectError


def check_syntax(sql: str, path: PurePath) -> None:
    """Raise a ProjectError unless `sql` is exactly one SELECT that DuckDB can parse."""
    try:
        statements = _parser().extract_statements(sql)
    except duckdb.Error as error:
        raise _syntax_error(sql, path, error) from None
    if not statements:
        raise ProjectError(f"{path} is empty. Write one SELECT.")
    if len(statements) > 1:
        raise ProjectError(f"{path} holds {len(statements)} statements. Write exactly one SELECT.")
    kind = statements[0].type.name
    if kind != "SELECT":
        article = "an" if kind[0] in "AEIOU" else "a"
        raise ProjectError(f"{path} holds {article} {kind} statement. Write a plain SELECT instead.")


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    # Errors as JSON include the position as a number.
    return duckdb.connect(config={"errors_as_json": True})


def _syntax_error(sql: str, path: PurePath, error: duckdb.Error) -> ProjectError:
    found = json.loads(str(error).removeprefix("Parser Error: "))
    reason = found["exception_message"]
    if "position" not in found:
        return ProjectError(f"{path}: {reason}.")
    before, rest = sql[: int(found["position"])], sql[int(found["position"]) :]
    if not rest.strip():
        # For an error at the end of the file, point at the last line that is not empty.
        before = before.rstrip()
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    text = sql.split("\n")[line - 1].strip()
    return ProjectError(f"{path}, line {line}, column {column}: {reason}, in: {text}")

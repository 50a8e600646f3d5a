"""Helpers that build a small project and read the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from dbt_like_sql.runner import NodeResult, build, load_project, select

ONE_ROW_PER_MEMBER = """
    models:
      - name: dim_member
        description: It's every member.
        config: {meta: {grain: [customer_id]}}
        columns:
          - name: customer_id
            data_tests: [not_null, unique]
          - name: balance
            data_tests:
              - expression_is_true: {expression: ">= 0"}
    """


def run(
    connection: duckdb.DuckDBPyConnection, root: Path, selectors: str = "", *, everything: bool = False
) -> dict[str, NodeResult]:
    project = load_project(root)
    rebuild = project.nodes if everything else ()
    results = build(connection, project, select(project, selectors), rebuild=rebuild)
    return {result.name: result for result in results}


def statuses(results: dict[str, NodeResult]) -> dict[str, str]:
    return {name: result.status for name, result in results.items()}


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def contents(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows and comments of every table except raw tables and stored build results."""
    names = rows(
        connection,
        "select schema_name || '.' || table_name, comment from duckdb_tables() "
        "where schema_name not in ('rivo_raw', 'meta') order by 1",
    )
    found = {name: [comment, *rows(connection, f"from {name} order by all")] for name, comment in names}
    return found | {
        "comments": rows(
            connection,
            "select table_name, column_name, comment from duckdb_columns() where schema_name != 'meta'",
        )
    }

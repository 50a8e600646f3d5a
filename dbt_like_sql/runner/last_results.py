"""Results of the last build of each table and test, stored in the schema `meta` of the warehouse.

The documentation page shows them, and a full build uses them to find tables that it created earlier and that no
file defines any more. They hold no wall-clock time: `data_as_of` is the observation time of the data, so building
the same data again changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from dbt_like_sql.runner.checking import TestResult
from dbt_like_sql.runner.nodes import NodeResult
from dbt_like_sql.runner.project import Model, Project, Seed
from dbt_like_sql.runner.sql import describe, literal, tables

META = "meta"

_TABLES = {
    "build_results": (
        "Result of the last build of each seed and model. Written by the build.",
        {
            "table_schema": ("varchar", "Schema of the table."),
            "table_name": ("varchar", "Name of the table."),
            "kind": ("varchar", "'model' or 'seed'."),
            "status": (
                "varchar",
                "'success'; or 'error', 'failed' or 'skipped', which keep the last good version.",
            ),
            "row_count": (
                "bigint",
                "Number of rows in the present version; null for a view, or if there is none.",
            ),
            "message": ("varchar", "What went wrong; empty on success."),
            "data_as_of": (
                "timestamptz",
                "Observation time of the data that the table holds, also if it did not have to be built again.",
            ),
            "inputs": ("varchar", "Fingerprint of the SQL and of the rows that the table was built from."),
            "tested": ("varchar", "Fingerprint of the tests that the table passed."),
        },
    ),
    "test_results": (
        "The last result of each data test. Written by the build.",
        {
            "table_schema": ("varchar", "Schema of the tested table."),
            "table_name": ("varchar", "Name of the tested table."),
            "test_name": ("varchar", "Name of the test, unique per table."),
            "column_name": ("varchar", "Column that is tested; null for tests of the whole table."),
            "severity": ("varchar", "'error' blocks the build of the table, 'warn' only warns."),
            "status": ("varchar", "'pass', 'fail', 'warn', or 'error' if the test could not run."),
            "failures": ("bigint", "Number of failing rows."),
            "message": ("varchar", "Result as a sentence. Failing rows are shown by their ids only."),
            "data_as_of": ("timestamptz", "Observation time of the tested data."),
        },
    ),
}


@dataclass(frozen=True)
class LastResults:
    """Last result of each table and of its tests, by relation. Empty before the first build."""

    builds: Mapping[str, Mapping[str, Any]]
    tests: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def without(self, relations: Collection[str]) -> LastResults:
        """Return the results of all but some tables."""
        return LastResults(
            {name: row for name, row in self.builds.items() if name not in relations}, self.tests
        )

    def test_results(self, project: Project, node: Model | Seed) -> tuple[TestResult, ...]:
        """Return the last result of each test of a node, without samples of failing rows."""
        rows = self.tests.get(node.relation, {})
        return tuple(
            TestResult(
                test.name,
                test.node,
                test.column,
                test.severity,
                rows[test.name]["status"],
                rows[test.name]["failures"],
                sql=test.sql,
                message=rows[test.name]["message"],
            )
            for test in project.tests_of(node.name)
            if test.name in rows
        )


def record(
    connection: duckdb.DuckDBPyConnection, results: Iterable[NodeResult], as_of: datetime | None
) -> None:
    """Store the results of a build; they replace the earlier results of the same tables."""
    _ensure(connection)
    earlier = read(connection).builds
    builds: list[tuple[Any, ...]] = []
    tests: list[tuple[Any, ...]] = []
    replaced: list[tuple[Any, ...]] = []
    for result in results:
        where = (result.schema, result.name)
        rows = result.rows
        if not result.is_good:
            rows = earlier.get(f"{result.schema}.{result.name}", {}).get("row_count")
        if result.status != "dropped":
            status = "success" if result.is_good else result.status
            build = (*where, result.kind, status, rows, result.message, as_of)
            builds.append((*build, result.inputs or None, result.tested or None))
        replaced.append((*where, result.is_tested or result.status == "dropped"))
        if result.is_tested:
            tests += [
                (
                    *where,
                    test.name,
                    test.column,
                    test.severity,
                    test.status,
                    test.failures,
                    test.message,
                    as_of,
                )
                for test in result.tests
            ]
    if not replaced:
        return
    connection.execute("begin")
    _delete(connection, "build_results", replaced)
    _delete(connection, "test_results", [each for each in replaced if each[2]])
    _insert(connection, "build_results", builds)
    _insert(connection, "test_results", tests)
    connection.execute("commit")


def _delete(connection: duckdb.DuckDBPyConnection, table: str, keys: list[tuple[Any, ...]]) -> None:
    connection.execute(
        f"delete from {META}.{table} where (table_schema, table_name) in "
        "(select (unnest($schemas::varchar[]), unnest($names::varchar[])))",
        {"schemas": [schema for schema, *_ in keys], "names": [name for _, name, *_ in keys]},
    )


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
    # Parameters, because messages quote the data; a list for each column, because one statement a row is slow.
    kinds = [kind for kind, _ in _TABLES[table][1].values()]
    if rows:
        values = ", ".join(f"unnest(?::{kind}[])" for kind in kinds)
        connection.execute(
            f"insert into {META}.{table} select {values}", [list(c) for c in zip(*rows, strict=True)]
        )


def read(connection: duckdb.DuckDBPyConnection) -> LastResults:
    """Read the stored results; empty if there are none."""

    def rows(table: str) -> list[dict[str, Any]]:
        try:
            cursor = connection.execute(f"select * from {META}.{table}")
        except duckdb.CatalogException:
            return []
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    by_test: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows("test_results"):
        by_test.setdefault(_relation(row), {})[row["test_name"]] = row
    return LastResults({_relation(row): row for row in rows("build_results")}, by_test)


def _relation(row: Mapping[str, Any]) -> str:
    return f"{row['table_schema']}.{row['table_name']}"


def _ensure(connection: duckdb.DuckDBPyConnection) -> None:
    existing = tables(connection)
    for table, (description, columns) in _TABLES.items():
        if (META, table) in existing:
            present = {name for name, _ in describe(connection, f"{META}.{table}")}
            for name, (kind, _) in columns.items():
                # A file of an earlier release has fewer columns.
                if name not in present:
                    connection.execute(f"alter table {META}.{table} add column {name} {kind}")
            continue
        definition = ", ".join(f"{name} {kind}" for name, (kind, _) in columns.items())
        connection.execute(f"create schema if not exists {META}")
        connection.execute(f"create table {META}.{table} ({definition})")
        connection.execute(f"comment on table {META}.{table} is {literal(description)}")
        for name, (_, text) in columns.items():
            connection.execute(f"comment on column {META}.{table}.{name} is {literal(text)}")

"""Building a project: each table in its place, tested, and put back where it fails.

The connection is to a working file that nobody else reads; the caller publishes it whole
afterwards. A table that cannot be built or fails a blocking test is replaced by its last good
version, and everything built from it is skipped, so that the file never holds half a change.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import duckdb

from dbt_like_sql.checking import TestResult, describe, plain, run_test
from dbt_like_sql.data_tests import quoted
from dbt_like_sql.project import LAYERS, SEEDS, Model, Project, Seed

ASIDE = "__last_good"
"""The suffix of the version that is kept until its successor has passed."""


@dataclass(frozen=True)
class NodeResult:
    """How one seed or model went: built, broken by its SQL, failed by a test, or not tried."""

    name: str
    schema: str
    kind: Literal["seed", "model"]
    status: Literal["success", "error", "failed", "skipped"]
    rows: int | None = None
    seconds: float = 0.0
    message: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    """Name and type of each column of the new version."""
    tests: tuple[TestResult, ...] = ()
    blocked_by: tuple[str, ...] = ()
    """If it was skipped: the models and seeds because of which."""


def build(
    connection: duckdb.DuckDBPyConnection, project: Project, selected: Collection[str] | None = None
) -> Iterator[NodeResult]:
    """Build and test the selected nodes (all, where nothing is selected), one result as each finishes."""
    wanted = set(project.nodes) if selected is None else {project.node(name).name for name in selected}
    return _build(connection, project, wanted)


def _build(
    connection: duckdb.DuckDBPyConnection, project: Project, wanted: Collection[str]
) -> Iterator[NodeResult]:
    _restore_leftovers(connection)
    broken: dict[str, str] = {}
    for node in project.nodes.values():
        if node.name not in wanted:
            continue
        started = time.perf_counter()
        culprits = _culprits(project, node, broken)
        if culprits:
            names = ", ".join(project.node(name).relation for name in culprits)
            result = NodeResult(
                node.name,
                node.schema,
                node.kind,
                "skipped",
                message=f"Skipped, because {names} failed.",
                blocked_by=culprits,
            )
        else:
            result = _build_node(connection, project, node, broken)
        if result.status != "success":
            broken[node.name] = result.status
        yield replace(result, seconds=time.perf_counter() - started)


def _culprits(project: Project, node: Model | Seed, broken: dict[str, str]) -> tuple[str, ...]:
    """Name the nodes that failed and without which this one cannot be built, or not be tested."""
    needed = set(project.upstream(node.name))
    for test in project.tests_of(node.name):
        if test.severity == "error":
            needed.update(test.depends_on)
    failed = [name for name in broken if name in needed]
    # Those that failed themselves say more than those skipped because of them.
    return tuple([n for n in failed if broken[n] != "skipped"] or failed)


def _build_node(
    connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed, broken: dict[str, str]
) -> NodeResult:
    result = NodeResult(node.name, node.schema, node.kind, "success")
    connection.execute(f"create schema if not exists {node.schema}")
    kept = (node.schema, node.name) in _tables(connection)
    if kept:
        connection.execute(f"alter table {node.relation} rename to {quoted(node.name + ASIDE)}")
    try:
        connection.execute(f"create table {node.relation} as\n{_select(project, node)}")
    except duckdb.Error as error:
        _restore(connection, node.schema, node.name, kept=kept)
        return replace(result, status="error", message=_explained(connection, project, node, error))
    _comment(connection, project, node)
    tests = tuple(run_test(connection, project, test, broken) for test in project.tests_of(node.name))
    blocking = [test for test in tests if test.blocks]
    if blocking:
        _restore(connection, node.schema, node.name, kept=kept)
        found = " ".join(f"{test.name}: {test.message}" for test in blocking)
        outcome = "The last good version stays." if kept else "There is no earlier version to keep."
        return replace(result, status="failed", tests=tests, message=f"{found} {outcome}")
    if kept:
        connection.execute(f"drop table {node.schema}.{quoted(node.name + ASIDE)}")
    rows = int((connection.execute(f"select count(*) from {node.relation}").fetchone() or (0,))[0])
    return replace(result, rows=rows, columns=describe(connection, node.relation), tests=tests)


def _select(project: Project, node: Model | Seed) -> str:
    if isinstance(node, Model):
        return node.sql
    # The dialect is fixed, so that DuckDB does not guess another one from the contents.
    options = "header = true, delim = ',', quote = '\"', escape = '\"', sample_size = -1"
    if node.column_types:
        types = ", ".join(f"{_literal(c)}: {_literal(t)}" for c, t in node.column_types.items())
        options += f", types = {{{types}}}"
    return f"select * from read_csv({_literal(str(project.root / node.path))}, {options})"


def _comment(connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed) -> None:
    """Write the documentation into the database, where BI tools find it."""
    described = {c.name: c.description for c in node.columns}
    statements = [f"comment on table {node.relation} is {_literal(node.description or None)}"]
    for column, _ in describe(connection, node.relation):
        text = described.get(column.lower()) or project.column_descriptions.get(column.lower())
        if text:
            statements.append(f"comment on column {node.relation}.{quoted(column)} is {_literal(text)}")
    connection.execute(";\n".join(statements))


def _explained(
    connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed, error: duckdb.Error
) -> str:
    """Say in one sentence why a table could not be built, and in which line of its file."""
    there = _tables(connection)
    for name in node.depends_on:
        read = project.node(name)
        if (read.schema, read.name) not in there:
            return (
                f"{node.path} reads {read.relation}, which has not been built yet. Build it too: +{node.name}"
            )
    for source in node.sources:
        schema, _, name = source.partition(".")
        if (schema, name) not in there:
            return f"{node.path} reads {source}, which is not in this database. It has not been loaded yet."
    line = re.search(r"\n\nLINE (\d+):", str(error))
    # The first line is the `create table ... as` put before the file's own text.
    place = f", line {int(line[1]) - 1}" if line and isinstance(node, Model) else ""
    return f"{node.path}{place}: {plain(error)}"


def _restore_leftovers(connection: duckdb.DuckDBPyConnection) -> None:
    """Put back what a build that died had set aside."""
    for schema, name in sorted(_tables(connection)):
        if schema in (SEEDS, *LAYERS) and name.endswith(ASIDE):
            _restore(connection, schema, name.removesuffix(ASIDE), kept=True)


def _restore(connection: duckdb.DuckDBPyConnection, schema: str, name: str, *, kept: bool) -> None:
    """Drop the new version of a table; the one kept aside, if any, takes its place again."""
    connection.execute(f"drop table if exists {schema}.{quoted(name)}")
    if kept:
        connection.execute(f"alter table {schema}.{quoted(name + ASIDE)} rename to {quoted(name)}")


def _tables(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    rows = connection.execute(
        "select lower(table_schema), lower(table_name) from information_schema.tables "
        "where table_catalog = current_database()"
    )
    return {(schema, name) for schema, name in rows.fetchall()}


def _literal(text: str | None) -> str:
    return "null" if text is None else "'" + text.replace("'", "''") + "'"

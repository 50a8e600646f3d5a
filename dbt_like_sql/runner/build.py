"""Building a project: each table in its place, tested, and put back where it fails.

The connection is to a working file that nobody else reads; the caller publishes it whole
afterwards. A table that cannot be built or fails a blocking test is replaced by its last good
version, and everything built from it is skipped, so that the file never holds half a change.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime

import duckdb

from dbt_like_sql.runner import last_results, python_models
from dbt_like_sql.runner.checking import plain, run_test
from dbt_like_sql.runner.nodes import NodeResult
from dbt_like_sql.runner.project import LAYERS, SEEDS, Model, Project, Seed
from dbt_like_sql.runner.sql import describe, literal, quoted, tables

ASIDE = "__last_good"
"""The suffix of the version that is kept until its successor has passed."""

MEMORY = "5GB"
"""What a build may take of the machine's memory, and no more than half of it; beyond that DuckDB spills to disk."""

_RETURNED = "_returned_by_python"


def build(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    selected: Collection[str] | None = None,
    *,
    as_of: datetime | None = None,
    memory: str = MEMORY,
) -> Iterator[NodeResult]:
    """Build and test the selected nodes (all, where nothing is selected), one result as each finishes.

    A build of all, in which nothing failed, also drops the tables of seeds and models that are gone.
    `as_of` is the time of the data, for the results kept in the schema `meta`.
    """
    wanted = set(project.nodes) if selected is None else {project.node(name).name for name in selected}
    return _build(connection, project, wanted, as_of, memory)


def _build(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    wanted: Collection[str],
    as_of: datetime | None,
    memory: str,
) -> Iterator[NodeResult]:
    _restore_leftovers(connection)
    broken: dict[str, str] = {}
    done: list[NodeResult] = []
    with _memory(connection, memory):
        for node in project.nodes.values():
            if node.name not in wanted:
                continue
            started = time.perf_counter()
            result = _attempt(connection, project, node, broken)
            if result.status != "success":
                broken[node.name] = result.status
            done.append(replace(result, seconds=time.perf_counter() - started))
            yield done[-1]
        if not broken and len(wanted) == len(project.nodes):
            for result in _drop_stale(connection, project):
                done.append(result)
                yield result
        last_results.record(connection, done, as_of)


def _attempt(
    connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed, broken: dict[str, str]
) -> NodeResult:
    culprits = _culprits(project, node, broken)
    if not culprits:
        return _build_node(connection, project, node, broken)
    names = ", ".join(project.node(name).relation for name in culprits)
    message = f"Skipped, because {names} failed."
    return NodeResult(node.name, node.schema, node.kind, "skipped", message=message, blocked_by=culprits)


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
    kept = (node.schema, node.name) in tables(connection)
    if kept:
        connection.execute(f"alter table {node.relation} rename to {quoted(node.name + ASIDE)}")
    try:
        _create(connection, project, node)
    except duckdb.Error as error:
        _restore(connection, node.schema, node.name, kept=kept)
        return replace(result, status="error", message=_explained(connection, project, node, error))
    except python_models.PythonModelError as error:
        _restore(connection, node.schema, node.name, kept=kept)
        return replace(result, status="error", message=str(error))
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


def _create(connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed) -> None:
    if isinstance(node, Seed):
        connection.execute(f"create table {node.relation} as\n{_seed(project, node)}")
    elif node.language == "sql":
        connection.execute(f"create table {node.relation} as\n{node.code}")
    else:
        _create_from_python(connection, project, node)


def _seed(project: Project, node: Seed) -> str:
    # The dialect is fixed, so that DuckDB does not guess another one from the contents.
    options = "header = true, delim = ',', quote = '\"', escape = '\"', sample_size = -1"
    if node.column_types:
        types = ", ".join(f"{literal(c)}: {literal(t)}" for c, t in node.column_types.items())
        options += f", types = {{{types}}}"
    return f"select * from read_csv({literal(str(project.root / node.path))}, {options})"


def _create_from_python(connection: duckdb.DuckDBPyConnection, project: Project, node: Model) -> None:
    relations = python_models.names([project.node(name).relation for name in node.depends_on], node.sources)
    arguments = {
        parameter: connection.execute(f"select * from {relations[parameter]}").df()
        for parameter in python_models.parameters(node.code, node.path)
    }
    frame = python_models.run(node.code, project.root / node.path, node.path, arguments)
    types = {column.name: column.data_type for column in node.columns}
    columns = [
        f"{quoted(c)}::{types[c.lower()]} as {quoted(c)}" if types.get(c.lower()) else quoted(c)
        for c in frame.columns
    ]
    connection.register(_RETURNED, frame)
    try:
        connection.execute(f"create table {node.relation} as select {', '.join(columns)} from {_RETURNED}")
    finally:
        connection.unregister(_RETURNED)


def _comment(connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed) -> None:
    """Write the documentation into the database, where BI tools find it."""
    comments = {c.name: c.comment for c in node.columns}
    statements = [f"comment on table {node.relation} is {literal(node.description or None)}"]
    for column, _ in describe(connection, node.relation):
        text = comments.get(column.lower()) or project.column_descriptions.get(column.lower())
        if text:
            statements.append(f"comment on column {node.relation}.{quoted(column)} is {literal(text)}")
    connection.execute(";\n".join(statements))


def _explained(
    connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed, error: duckdb.Error
) -> str:
    """Say in one sentence why a table could not be built, and in which line of its file."""
    there = tables(connection)
    for name in node.depends_on:
        read = project.node(name)
        if (read.schema, read.name) not in there:
            return (
                f"{node.path} reads {read.relation}, which has not been built yet. "
                f"Build it too: --select +{node.name}"
            )
    for source in node.sources:
        schema, _, name = source.partition(".")
        if (schema, name) not in there:
            return f"{node.path} reads {source}, which is not in this database. It has not been loaded yet."
    if isinstance(error, duckdb.OutOfMemoryException):
        [[limit]] = connection.execute("select current_setting('memory_limit')").fetchall()
        return (
            f"{node.path}: It needs more memory than a build may take ({limit}), and what it spills finds no room "
            f"on the disk. ({str(error).splitlines()[0]})"
        )
    line = re.search(r"\n\nLINE (\d+):", str(error))
    is_sql = isinstance(node, Model) and node.language == "sql"
    # The first line is the `create table ... as` put before the file's own text.
    place = f", line {int(line[1]) - 1}" if line and is_sql else ""
    return f"{node.path}{place}: {plain(error, node.code if isinstance(node, Model) else str(node.path))}"


def _drop_stale(connection: duckdb.DuckDBPyConnection, project: Project) -> Iterator[NodeResult]:
    """Drop the tables that an earlier build made, as its results say, and that no file makes any more.

    Whatever else is in the database stays, in the schemas of the layers too: it is somebody's own.
    """
    there = tables(connection)
    made_now = {node.relation for node in project.nodes.values()}
    for relation, row in sorted(last_results.read(connection).builds.items()):
        schema, name = row["table_schema"], row["table_name"]
        if relation in made_now:
            continue
        if (schema, name) in there:
            # By now it may be a view of somebody's own.
            with suppress(duckdb.CatalogException):
                connection.execute(f"drop table {schema}.{quoted(name)}")
        message = "Dropped, because no file of the project makes it any more."
        yield NodeResult(name, schema, row["kind"], "dropped", message=message)


@contextmanager
def _memory(connection: duckdb.DuckDBPyConnection, limit: str) -> Iterator[None]:
    """Let the build have more memory than a reader gets, yet not so much that the machine suffers."""
    [[before]] = connection.execute("select current_setting('memory_limit')").fetchall()
    connection.execute(f"set memory_limit = {literal(limit)}")
    allowed = _bytes(connection)
    connection.execute("reset memory_limit")  # DuckDB's own: four fifths of the machine, or of the container
    connection.execute(f"set memory_limit = '{min(allowed, _bytes(connection) * 5 // 8)}B'")
    try:
        yield
    finally:
        connection.execute(f"set memory_limit = {literal(before)}")


def _bytes(connection: duckdb.DuckDBPyConnection) -> int:
    [[text]] = connection.execute("select current_setting('memory_limit')").fetchall()
    number, unit = text.split()
    return int(float(number) * 1024 ** ["bytes", "KiB", "MiB", "GiB", "TiB"].index(unit))


def _restore_leftovers(connection: duckdb.DuckDBPyConnection) -> None:
    """Put back what a build that died had set aside."""
    for schema, name in sorted(tables(connection)):
        if schema in (SEEDS, *LAYERS) and name.endswith(ASIDE):
            _restore(connection, schema, name.removesuffix(ASIDE), kept=True)


def _restore(connection: duckdb.DuckDBPyConnection, schema: str, name: str, *, kept: bool) -> None:
    """Drop the new version of a table; the one kept aside, if any, takes its place again."""
    connection.execute(f"drop table if exists {schema}.{quoted(name)}")
    if kept:
        connection.execute(f"alter table {schema}.{quoted(name + ASIDE)} rename to {quoted(name)}")

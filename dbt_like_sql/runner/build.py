"""Build the tables of a project, test them, and restore the last good version of those that fail.

The connection is to a working file that no other process reads; the caller publishes the whole
file afterwards. If a table cannot be built or fails a blocking test, its last good version is
restored and everything built from it is skipped, so the file never holds a partial change.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime

import duckdb

from dbt_like_sql.runner import last_results, python_models
from dbt_like_sql.runner.checking import error_text, run_test
from dbt_like_sql.runner.nodes import NodeResult
from dbt_like_sql.runner.project import LAYERS, SEEDS, Model, Project, Seed
from dbt_like_sql.runner.sql import describe, literal, quoted, tables

LAST_GOOD_SUFFIX = "__last_good"
"""Suffix of the previous version of a table, kept until the new version has passed its tests."""

MEMORY = "5GB"
"""Memory limit of a build. Half of the machine's memory if that is less; DuckDB spills the rest to disk."""

_RETURNED = "_returned_by_python"


def build(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    selected: Collection[str] | None = None,
    *,
    as_of: datetime | None = None,
    memory: str = MEMORY,
) -> Iterator[NodeResult]:
    """Build and test the selected nodes, and yield one result as each node finishes.

    `selected` is None to build every node. A full build without failures also drops the tables of
    seeds and models that no longer exist. `as_of` is the observation time of the data; it is stored
    with the results in the schema `meta`.
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
    existing = tables(connection)
    broken: dict[str, str] = {}
    done: list[NodeResult] = []
    with _memory(connection, memory):
        for node in project.nodes.values():
            if node.name not in wanted:
                continue
            started = time.perf_counter()
            result = _attempt(connection, project, node, broken, kept=(node.schema, node.name) in existing)
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
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    node: Model | Seed,
    broken: dict[str, str],
    *,
    kept: bool,
) -> NodeResult:
    failed = _failed_dependencies(project, node, broken)
    if not failed:
        return _build_node(connection, project, node, broken, kept=kept)
    names = ", ".join(project.node(name).relation for name in failed)
    message = f"Skipped because {names} failed."
    return NodeResult(node.name, node.schema, node.kind, "skipped", message=message, blocked_by=failed)


def _failed_dependencies(project: Project, node: Model | Seed, broken: dict[str, str]) -> tuple[str, ...]:
    """List the failed nodes that this one needs in order to be built or tested."""
    needed = set(project.upstream(node.name))
    for test in project.tests_of(node.name):
        if test.severity == "error":
            needed.update(test.depends_on)
    failed = [name for name in broken if name in needed]
    # Report the root causes, not the nodes that were skipped because of them.
    return tuple([n for n in failed if broken[n] != "skipped"] or failed)


def _build_node(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    node: Model | Seed,
    broken: dict[str, str],
    *,
    kept: bool,
) -> NodeResult:
    """Build and test one table. `kept` tells whether there is an earlier version, which is kept until tests pass."""
    result = NodeResult(node.name, node.schema, node.kind, "success")
    connection.execute(f"create schema if not exists {node.schema}")
    if kept:
        connection.execute(f"alter table {node.relation} rename to {quoted(node.name + LAST_GOOD_SUFFIX)}")
    try:
        _create(connection, project, node)
    except duckdb.Error as error:
        _restore(connection, node.schema, node.name, kept=kept)
        return replace(result, status="error", message=_explain(connection, project, node, error))
    except python_models.PythonModelError as error:
        _restore(connection, node.schema, node.name, kept=kept)
        return replace(result, status="error", message=str(error))
    columns = describe(connection, node.relation)
    _comment(connection, project, node, [column for column, _ in columns])
    tests = tuple(run_test(connection, project, test, broken) for test in project.tests_of(node.name))
    blocking = [test for test in tests if test.blocks]
    if blocking:
        _restore(connection, node.schema, node.name, kept=kept)
        found = " ".join(f"{test.name}: {test.message}" for test in blocking)
        outcome = "The last good version is kept." if kept else "There is no earlier version to keep."
        return replace(result, status="failed", tests=tests, message=f"{found} {outcome}")
    if kept:
        connection.execute(f"drop table {node.schema}.{quoted(node.name + LAST_GOOD_SUFFIX)}")
    rows = int((connection.execute(f"select count(*) from {node.relation}").fetchone() or (0,))[0])
    return replace(result, rows=rows, columns=columns, tests=tests)


def _create(connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed) -> None:
    if isinstance(node, Seed):
        connection.execute(f"create table {node.relation} as\n{_seed(project, node)}")
    elif node.language == "sql":
        connection.execute(f"create table {node.relation} as\n{node.code}")
    else:
        _create_from_python(connection, project, node)


def _seed(project: Project, node: Seed) -> str:
    # Fix the CSV dialect; otherwise DuckDB guesses it from the contents.
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


def _comment(
    connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed, columns: Sequence[str]
) -> None:
    """Store the descriptions as comments in the database, where BI tools show them."""
    comments = {c.name: c.comment for c in node.columns}
    statements = [f"comment on table {node.relation} is {literal(node.description or None)}"]
    for column in columns:
        text = comments.get(column.lower()) or project.column_descriptions.get(column.lower())
        if text:
            statements.append(f"comment on column {node.relation}.{quoted(column)} is {literal(text)}")
    # One transaction: DuckDB writes each to the disk otherwise.
    connection.execute(";\n".join(["begin", *statements, "commit"]))


def _explain(
    connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed, error: duckdb.Error
) -> str:
    """Return why a table could not be built, with the file and, for SQL, the line."""
    existing = tables(connection)
    for name in node.depends_on:
        read = project.node(name)
        if (read.schema, read.name) not in existing:
            return (
                f"{node.path} reads {read.relation}, which has not been built yet. "
                f"Build it too: --select +{node.name}"
            )
    for source in node.sources:
        schema, _, name = source.partition(".")
        if (schema, name) not in existing:
            return f"{node.path} reads {source}, which is not in this database. Run a sync to load it."
    if isinstance(error, duckdb.OutOfMemoryException):
        [[limit]] = connection.execute("select current_setting('memory_limit')").fetchall()
        return (
            f"{node.path}: the build ran out of memory (limit {limit}), and DuckDB could not spill the rest to disk. "
            f"Free some disk space, or simplify the model. ({str(error).splitlines()[0]})"
        )
    line = re.search(r"\n\nLINE (\d+):", str(error))
    is_sql = isinstance(node, Model) and node.language == "sql"
    # DuckDB counts the `create table ... as` line before the file's own text.
    place = f", line {int(line[1]) - 1}" if line and is_sql else ""
    return (
        f"{node.path}{place}: {error_text(error, node.code if isinstance(node, Model) else str(node.path))}"
    )


def _drop_stale(connection: duckdb.DuckDBPyConnection, project: Project) -> Iterator[NodeResult]:
    """Drop the tables that an earlier build recorded in its results and that no file defines any more.

    Every other table or view is kept, in the schemas of the layers too: a user may have created it.
    """
    existing = tables(connection)
    defined = {node.relation for node in project.nodes.values()}
    for relation, row in sorted(last_results.read(connection).builds.items()):
        schema, name = row["table_schema"], row["table_name"]
        if relation in defined:
            continue
        if (schema, name) in existing:
            # A user may have replaced it by a view of the same name, which `drop table` refuses.
            with suppress(duckdb.CatalogException):
                connection.execute(f"drop table {schema}.{quoted(name)}")
        message = "Dropped because no file in the project defines it any more."
        yield NodeResult(name, schema, row["kind"], "dropped", message=message)


@contextmanager
def _memory(connection: duckdb.DuckDBPyConnection, limit: str) -> Iterator[None]:
    """Raise the memory limit for the build, up to `limit` and up to half of the machine's memory."""
    [[before]] = connection.execute("select current_setting('memory_limit')").fetchall()
    connection.execute(f"set memory_limit = {literal(limit)}")
    allowed = _bytes(connection)
    connection.execute("reset memory_limit")  # DuckDB's default: 80 % of the machine's or container's memory
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
    """Restore the tables that an interrupted build had renamed."""
    for schema, name in sorted(tables(connection)):
        if schema in (SEEDS, *LAYERS) and name.endswith(LAST_GOOD_SUFFIX):
            _restore(connection, schema, name.removesuffix(LAST_GOOD_SUFFIX), kept=True)


def _restore(connection: duckdb.DuckDBPyConnection, schema: str, name: str, *, kept: bool) -> None:
    """Drop the new version of a table and restore the last good version, if there is one."""
    connection.execute(f"drop table if exists {schema}.{quoted(name)}")
    if kept:
        connection.execute(f"alter table {schema}.{quoted(name + LAST_GOOD_SUFFIX)} rename to {quoted(name)}")

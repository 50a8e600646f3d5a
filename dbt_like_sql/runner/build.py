"""Build the tables of a project, test them, and restore the last good version of those that fail.

The connection is to a working file that no other process reads; the caller publishes the whole
file afterwards. If a table cannot be built or fails a blocking test, its last good version is
restored and everything built from it is skipped, so the file never holds a partial change.

A table whose SQL and input rows are those of its last good version is left as it is, with the
results of its tests.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import duckdb

from dbt_like_sql.runner import last_results, python_models
from dbt_like_sql.runner.checking import TestResult, error_text, run_tests
from dbt_like_sql.runner.fingerprints import Fingerprints
from dbt_like_sql.runner.nodes import NodeResult
from dbt_like_sql.runner.project import LAYERS, SEEDS, Model, Project, Seed
from dbt_like_sql.runner.resources import MEMORY, resources
from dbt_like_sql.runner.sql import describe, literal, quoted, tables

LAST_GOOD_SUFFIX = "__last_good"
"""Suffix of the previous version of a table, kept until the new version has passed its tests."""

_ROWS_TO_CHECKPOINT = 50_000
_RETURNED = "_returned_by_python"


def build(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    selected: Collection[str] | None = None,
    *,
    as_of: datetime | None = None,
    memory: str = MEMORY,
    rebuild: Collection[str] = (),
) -> Iterator[NodeResult]:
    """Build and test the selected nodes, and yield one result as each node finishes.

    `selected` is None to build every node. Nodes that cannot have changed are left as they are, except
    those in `rebuild`. A full build without failures also drops the tables of seeds and models that no
    longer exist. `as_of` is the observation time of the data; it is stored with the results in the
    schema `meta`.
    """
    wanted = set(project.nodes) if selected is None else {project.node(name).name for name in selected}
    return _build(connection, project, wanted, as_of, memory, rebuild)


def _build(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    wanted: Collection[str],
    as_of: datetime | None,
    memory: str,
    rebuild: Collection[str],
) -> Iterator[NodeResult]:
    _restore_leftovers(connection)
    fingerprints = Fingerprints(connection, project)
    last = last_results.read(connection).without({project.node(name).relation for name in rebuild})
    broken: dict[str, str] = {}
    done: list[NodeResult] = []
    replaced_rows = 0
    python_inputs = {
        name
        for model in project.models
        if model.language == "python" and model.name in wanted
        for name in model.depends_on
    }
    with resources(connection, memory):
        existing = tables(connection)
        for node in project.nodes.values():
            if node.name not in wanted:
                continue
            started = time.perf_counter()
            kept = existing.get((node.schema, node.name))
            result = _attempt(connection, project, node, broken, fingerprints, last, kept)
            if not result.is_good:
                broken[node.name] = result.status
            elif result.status == "success" and node.name in python_inputs:
                # A model in Python reads the new rows.
                python_models.import_pandas_soon()
                python_inputs.clear()
            if result.status == "success" and kept:
                replaced_rows += result.rows or 0
                if replaced_rows > _ROWS_TO_CHECKPOINT:
                    replaced_rows = 0
                    # The blocks of dropped tables become free only now. Without it, the file grows to twice its size.
                    connection.execute("checkpoint")
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
    fingerprints: Fingerprints,
    last: last_results.LastResults,
    kept: str | None,
) -> NodeResult:
    """Build and test one node, if it can have changed. `kept` is 'table' or 'view' if there is an earlier version."""
    result = NodeResult(node.name, node.schema, node.kind, "success")
    failed = _failed_dependencies(project, node, broken)
    if failed:
        names = ", ".join(project.node(name).relation for name in failed)
        message = f"Skipped because {names} failed."
        return replace(result, status="skipped", message=message, blocked_by=failed)
    inputs = _fingerprint(fingerprints.of_inputs, node)
    before = last.builds.get(node.relation, {})
    if (
        kept == node.materialized
        and inputs
        and before.get("status") == "success"
        and before.get("inputs") == inputs
    ):
        tested = _fingerprint(fingerprints.of_tests, node)
        result = replace(result, status="unchanged", rows=before["row_count"], inputs=inputs, tested=tested)
        if tested and before.get("tested") == tested:
            return replace(result, tests=last.test_results(project, node))
        tests = _run_tests(connection, project, node, broken)
        if blocking := _blocking(tests):
            message = f"{blocking} {_outcome(node, kept)}"
            return replace(result, status="failed", tests=tests, is_tested=True, message=message)
        return replace(result, tests=tests, is_tested=True, tested=tested if _have_run(tests) else "")
    fingerprints.forget(node)
    result = _build_node(connection, project, node, broken, kept)
    if result.status == "success":
        tested = _fingerprint(fingerprints.of_tests, node) if _have_run(result.tests) else ""
        return replace(result, inputs=inputs, tested=tested)
    return result


def _outcome(node: Model | Seed, kept: str | None) -> str:
    """Return what readers of the table get after a blocking test has failed."""
    if node.materialized == "view":
        return "A view shows the rows of the tables that it reads, so nothing is published until it passes."
    return "The last good version is kept." if kept else "There is no earlier version to keep."


def _have_run(tests: Iterable[TestResult]) -> bool:
    """Return whether all tests have run; some read a table that has failed."""
    return all(test.status == "pass" or test.failures for test in tests)


def _fingerprint(function: Callable[[Model | Seed], str], node: Model | Seed) -> str:
    try:
        return function(node)
    except duckdb.Error:
        # A table that is read is not there: the build of the node, or its test, says which.
        return ""


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
    kept: str | None,
) -> NodeResult:
    """Build and test one node; its earlier version, if any, is kept until the tests pass."""
    result = NodeResult(node.name, node.schema, node.kind, "success")
    connection.execute(f"create schema if not exists {node.schema}")
    if kept:
        connection.execute(f"alter {kept} {node.relation} rename to {quoted(node.name + LAST_GOOD_SUFFIX)}")
    try:
        _create(connection, project, node)
    except duckdb.Error as error:
        _restore(connection, node.schema, node.name)
        return replace(result, status="error", message=_explain(connection, project, node, error))
    except python_models.PythonModelError as error:
        _restore(connection, node.schema, node.name)
        return replace(result, status="error", message=str(error))
    columns = describe(connection, node.relation)
    _comment(connection, project, node, [column for column, _ in columns])
    tests = _run_tests(connection, project, node, broken)
    if blocking := _blocking(tests):
        _restore(connection, node.schema, node.name)
        message = f"{blocking} {_outcome(node, kept)}"
        return replace(result, status="failed", tests=tests, is_tested=True, message=message)
    if kept:
        connection.execute(f"drop {kept} {node.schema}.{quoted(node.name + LAST_GOOD_SUFFIX)}")
    rows = None
    if node.materialized == "table":
        [[rows]] = connection.execute(f"select count(*) from {node.relation}").fetchall()
    return replace(result, rows=rows, columns=columns, tests=tests, is_tested=True)


def _run_tests(
    connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed, broken: Mapping[str, str]
) -> tuple[TestResult, ...]:
    return tuple(run_tests(connection, project, project.tests_of(node.name), broken))


def _blocking(tests: Iterable[TestResult]) -> str:
    """Return what the blocking tests that failed have found; empty if there are none."""
    return " ".join(f"{test.name}: {test.message}" for test in tests if test.blocks)


def _create(connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed) -> None:
    if isinstance(node, Seed):
        connection.execute(f"create table {node.relation} as\n{_seed(project, node)}")
    elif node.language == "sql":
        connection.execute(f"create {node.materialized} {node.relation} as\n{node.code}")
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
    comments = {c.name: c.description for c in node.columns}
    statements = [f"comment on {node.materialized} {node.relation} is {literal(node.description or None)}"]
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
    for name in project.upstream(node.name):
        view = project.node(name)
        if isinstance(view, Model) and view.materialized == "view":
            try:
                # A view computes its rows only when it is read, so its error comes up in the first model that does.
                connection.execute(f"select max(hash(rows_of)) from {view.relation} as rows_of")
            except duckdb.Error as of_view:
                return f"{node.path} reads {view.relation}, and {view.path}: {error_text(of_view, view.code)}"
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
        if kind := existing.get((schema, name)):
            connection.execute(f"drop {kind} {schema}.{quoted(name)}")
        message = "Dropped because no file in the project defines it any more."
        yield NodeResult(name, schema, row["kind"], "dropped", message=message)


def _restore_leftovers(connection: duckdb.DuckDBPyConnection) -> None:
    """Restore the tables that an interrupted build had renamed."""
    for schema, name in sorted(tables(connection)):
        if schema in (SEEDS, *LAYERS) and name.endswith(LAST_GOOD_SUFFIX):
            _restore(connection, schema, name.removesuffix(LAST_GOOD_SUFFIX))


def _restore(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> None:
    """Drop the new version of a table or view, and restore the last good version, if there is one."""
    existing = tables(connection)
    if kind := existing.get((schema, name)):
        connection.execute(f"drop {kind} {schema}.{quoted(name)}")
    last_good = name + LAST_GOOD_SUFFIX
    if kind := existing.get((schema, last_good)):
        connection.execute(f"alter {kind} {schema}.{quoted(last_good)} rename to {quoted(name)}")

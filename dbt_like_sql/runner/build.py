"""Build the tables of a project, test them, and restore the last good version of those that fail.

The connection is to a working file that no other process reads; the caller publishes the whole
file afterwards. If a table cannot be built or fails a blocking test, its last good version is
restored and everything built from it is skipped, so the file never holds a partial change.

A table whose SQL and input rows are those of its last good version is left as it is, with the
results of its tests.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from graphlib import TopologicalSorter

import duckdb

from dbt_like_sql.runner import last_results, python_models
from dbt_like_sql.runner.checking import TestResult, run_tests
from dbt_like_sql.runner.creating import comment, create, explain
from dbt_like_sql.runner.fingerprints import Fingerprints
from dbt_like_sql.runner.nodes import NodeResult
from dbt_like_sql.runner.project import LAYERS, SEEDS, Model, Project, Seed
from dbt_like_sql.runner.resources import MEMORY, resources
from dbt_like_sql.runner.sql import describe, quoted, tables
from dbt_like_sql.runner.workers import Work, Workers

LAST_GOOD_SUFFIX = "__last_good"
"""Suffix of the previous version of a table, kept until the new version has passed its tests."""

_ROWS_TO_CHECKPOINT = 50_000


def build(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    selected: Collection[str] | None = None,
    *,
    as_of: datetime | None = None,
    memory: str = MEMORY,
    rebuild: Collection[str] = (),
) -> Iterator[NodeResult]:
    """Build and test the selected nodes, and yield the result of each, in the order of the project.

    Nodes that do not depend on each other are built at the same time, unless a table has very many rows.
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
    last = last_results.read(connection).without({project.node(name).relation for name in rebuild})
    finished: dict[str, NodeResult] = {}
    done: list[NodeResult] = []
    python_inputs = {
        name
        for model in project.models
        if model.language == "python" and model.name in wanted
        for name in model.depends_on
    }
    with resources(connection, memory) as at_once:
        # Here, since two threads cannot create the same schema at the same time.
        for schema in dict.fromkeys(project.node(name).schema for name in wanted):
            connection.execute(f"create schema if not exists {schema}")
        order = [name for name in project.nodes if name in wanted]
        for result in _results(connection, project, order, last, at_once):
            finished[result.name] = result
            if result.status == "success" and result.name in python_inputs:
                # A model in Python reads the new rows.
                python_models.import_pandas_soon()
                python_inputs.clear()
            while len(done) < len(order) and order[len(done)] in finished:
                done.append(finished[order[len(done)]])
                yield done[-1]
        if all(result.is_good for result in done) and len(wanted) == len(project.nodes):
            for result in _drop_stale(connection, project):
                done.append(result)
                yield result
        last_results.record(connection, done, as_of)


def _results(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    wanted: Sequence[str],
    last: last_results.LastResults,
    at_once: int,
) -> Iterator[NodeResult]:
    """Build and test nodes, up to `at_once` at the same time, each after all that it and its tests read.

    Yields the results in the order in which the nodes finish.
    """
    existing = tables(connection)
    waiting = TopologicalSorter({name: _needs(project, name).intersection(wanted) for name in wanted})
    waiting.prepare()
    ready: deque[str] = deque()
    broken: dict[str, str] = {}
    replaced_rows = 0
    with connection.cursor() as reader, closing(Workers(connection, at_once)) as workers:
        attempt = partial(_attempt, project=project, fingerprints=Fingerprints(reader, project), last=last)
        while waiting.is_active():
            ready += waiting.get_ready()
            if replaced_rows > _ROWS_TO_CHECKPOINT and workers.are_idle:
                replaced_rows = 0
                # The blocks of dropped tables become free only now. Without it, the file grows to twice its size.
                connection.execute("checkpoint")
            while ready and workers.has_free and replaced_rows <= _ROWS_TO_CHECKPOINT:
                node = project.nodes[ready.popleft()]
                kept = existing.get((node.schema, node.name))
                # Python code in this thread, where a signal can end it.
                here = isinstance(node, Model) and node.language == "python"
                work = partial(attempt, node=node, broken={**broken}, kept=kept)
                workers.start(partial(_timed, work), here=here)
            for result in workers.finished():
                waiting.done(result.name)
                if not result.is_good:
                    broken[result.name] = result.status
                elif result.status == "success" and (result.schema, result.name) in existing:
                    replaced_rows += result.rows or 0
                yield result


def _needs(project: Project, name: str) -> set[str]:
    """Return the nodes that one needs in order to be built and tested, with all that those are built from."""
    tested_with = {read for test in project.tests_of(name) for read in test.depends_on}
    return {
        *project.upstream(name),
        *tested_with,
        *(n for read in tested_with for n in project.upstream(read)),
    }


def _timed(work: Work, connection: duckdb.DuckDBPyConnection) -> NodeResult:
    started = time.perf_counter()
    result = work(connection)
    return replace(result, seconds=time.perf_counter() - started)


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
        tests = tuple(run_tests(connection, project, project.tests_of(node.name), broken))
        if blocking := _blocking(tests):
            message = f"{blocking} {_outcome(node, kept)}"
            return replace(result, status="failed", tests=tests, is_tested=True, message=message)
        return replace(result, tests=tests, is_tested=True, tested=tested if _have_run(tests) else "")
    result = _build_node(connection, project, node, broken, kept)
    if result.status == "success":
        fingerprints.replaced(node, result.columns)
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
    failed = [name for name in project.nodes if name in needed & broken.keys()]
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
    if kept:
        connection.execute(f"alter {kept} {node.relation} rename to {quoted(node.name + LAST_GOOD_SUFFIX)}")
    try:
        rows = create(connection, project, node)
    except duckdb.Error as error:
        _restore(connection, node.schema, node.name)
        return replace(result, status="error", message=explain(connection, project, node, error))
    except python_models.PythonModelError as error:
        _restore(connection, node.schema, node.name)
        return replace(result, status="error", message=str(error))
    columns = describe(connection, node.relation)
    names = [name for name, _ in columns]
    comment(connection, project, node, names)
    tests = tuple(run_tests(connection, project, project.tests_of(node.name), broken, names))
    if blocking := _blocking(tests):
        _restore(connection, node.schema, node.name)
        message = f"{blocking} {_outcome(node, kept)}"
        return replace(result, status="failed", tests=tests, is_tested=True, message=message)
    if kept:
        connection.execute(f"drop {kept} {node.schema}.{quoted(node.name + LAST_GOOD_SUFFIX)}")
    return replace(result, rows=rows, columns=columns, tests=tests, is_tested=True)


def _blocking(tests: Iterable[TestResult]) -> str:
    """Return what the blocking tests that failed have found; empty if there are none."""
    return " ".join(f"{test.name}: {test.message}" for test in tests if test.blocks)


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

"""Select and run data tests against the existing tables, without building anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import duckdb

from dbt_like_sql.runner.checking import TestResult, run_tests
from dbt_like_sql.runner.errors import ProjectError, did_you_mean
from dbt_like_sql.runner.project import Project
from dbt_like_sql.runner.selection import select
from dbt_like_sql.runner.sql import tables


def select_tests(project: Project, selectors: str = "", exclude: str = "") -> dict[str, set[str]]:
    """Select tests by the node they belong to, as `select` does, or by their own name.

    Returns the names of the selected tests by node, in build order.

    Raises:
        ProjectError: a selector matches nothing, or no test is left.
    """
    all_tests = {node: {test.name for test in project.tests_of(node)} for node in project.nodes}

    def nodes(word: str) -> dict[str, set[str]]:
        try:
            return {node: all_tests[node] for node in select(project, word)}
        except ProjectError as error:
            hint = did_you_mean(word, set().union(*all_tests.values()))
            raise ProjectError(f"No test is called {word}.{hint}") if hint else error from None

    def chosen(text: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for word in text.split():
            named = {node: {word} for node, names in all_tests.items() if word in names}
            for node, names in (named or nodes(word)).items():
                found.setdefault(node, set()).update(names)
        return found

    wanted, unwanted = chosen(selectors) if selectors.split() else all_tests, chosen(exclude)
    left = {node: wanted[node] - unwanted.get(node, set()) for node in all_tests if node in wanted}
    if not any(left.values()):
        raise ProjectError("No tests to run: the selected models have no tests, or all of them are excluded.")
    return left


def test(
    connection: duckdb.DuckDBPyConnection, project: Project, wanted: Mapping[str, Collection[str]]
) -> Iterator[TestResult]:
    """Run the tests selected by `select_tests`, and yield one result as each finishes. Read-only."""
    existing = tables(connection)
    missing = {n.name: "missing" for n in project.nodes.values() if (n.schema, n.name) not in existing}
    for name, names in wanted.items():
        can_run = []
        for data_test in project.tests_of(name):
            if data_test.name not in names:
                continue
            absent = [n for n in (name, *data_test.depends_on) if n in missing]
            if absent:
                message = f"Not run because {project.node(absent[0]).relation} has not been built yet."
                result = TestResult(data_test.name, name, data_test.column, data_test.severity, "error")
                yield replace(result, message=message, sql=data_test.sql)
            else:
                can_run.append(data_test)
        yield from run_tests(connection, project, can_run, {})

"""Run one data test against the existing tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import duckdb

from dbt_like_sql.runner.data_tests import DOCUMENTED_COLUMNS, DataTest, Severity
from dbt_like_sql.runner.masking import masked
from dbt_like_sql.runner.project import Model, Project, Seed
from dbt_like_sql.runner.sql import describe, literal, quoted

DOCUMENTED_LAYERS = ("marts", "reports")
"""Layers in which every column must have a description."""

SAMPLE_ROWS = 5
"""Maximum number of failing rows shown in a test's message."""

_ABOUT_SQL = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.SyntaxException)
"""Errors raised before any row is read. They quote names, never values of the data."""


@dataclass(frozen=True)
class TestResult:
    """Result of one test. `fail` and `error` block the build if the severity is 'error'."""

    __test__ = False  # pytest would collect the class because of its name

    name: str
    node: str
    column: str | None
    severity: Severity
    status: Literal["pass", "fail", "warn", "error"]
    failures: int = 0
    sample: tuple[Mapping[str, Any], ...] = ()
    """Up to SAMPLE_ROWS failing rows: ids and grain columns only, because other columns may be personal data."""
    sql: str = ""
    message: str = ""

    @property
    def blocks(self) -> bool:
        """Whether this result keeps the new version of the tested table from being published."""
        return self.severity == "error" and self.status in ("fail", "error")


def run_tests(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    tests: Iterable[DataTest],
    broken: Mapping[str, str],
    columns: Sequence[str] = (),
) -> Iterator[TestResult]:
    """Run tests of one table, and yield their results in order; see `run_test`.

    Tests of the table alone share one scan of it. Only those that do not pass run again, each by itself, to find the
    rows. `columns` are those of the table, if the caller knows them.
    """
    tests = list(tests)
    passed = _passed_in_one_scan(connection, project, [test for test in tests if test.passes_if])
    for test in tests:
        if test.name in passed:
            yield _passed(test)
        else:
            yield run_test(connection, project, test, broken, columns)


def _passed_in_one_scan(
    connection: duckdb.DuckDBPyConnection, project: Project, tests: Sequence[DataTest]
) -> set[str]:
    """Return the names of tests that have no failing row; none if one of them cannot run."""
    if not tests:
        return set()
    passes = ", ".join(test.passes_if for test in tests)
    try:
        [found] = connection.execute(
            f"select {passes} from {project.node(tests[0].node).relation}"
        ).fetchall()
    except duckdb.Error:
        return set()
    return {test.name for test, is_passed in zip(tests, found, strict=True) if is_passed}


def _passed(test: DataTest) -> TestResult:
    return TestResult(
        test.name, test.node, test.column, test.severity, "pass", sql=test.sql, message="Passed."
    )


def run_test(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    test: DataTest,
    broken: Mapping[str, str],
    columns: Sequence[str] = (),
) -> TestResult:
    """Run a test. `broken` holds the status of each node that this build could not update."""
    result = _passed(test)
    node = project.node(test.node)
    if test.name == DOCUMENTED_COLUMNS and isinstance(node, Model):
        return _documented_columns(project, node, result, columns or _columns(connection, node))
    unavailable = [project.node(name).relation for name in test.depends_on if name in broken]
    if unavailable:
        status: Literal["warn", "error"] = "error" if test.severity == "error" else "warn"
        return replace(
            result, status=status, message=f"Not run because it also reads {unavailable[0]}, which failed."
        )
    try:
        # A test may end with a semicolon or a comment, which a subquery in brackets may not.
        [[failures]] = connection.execute(f"select count(*) from query({literal(test.sql)})").fetchall()
        sample = _sample(connection.sql(test.sql), node) if failures else ()
    except duckdb.Error as error:
        return replace(
            result, status="error", message=f"The test could not run: {error_text(error, test.sql)}"
        )
    if not failures:
        return result
    return replace(
        result,
        status="fail" if test.severity == "error" else "warn",
        failures=failures,
        sample=sample,
        message=_failure_message(failures, sample),
    )


def error_text(error: duckdb.Error, code: str) -> str:
    """Return DuckDB's message as one line, without the error class and the SQL excerpt.

    Values of the data are masked, so that no personal data reaches a log.
    """
    text = str(error).partition("\n\nLINE ")[0]
    kind, colon, rest = text.partition(": ")
    text = rest if colon and kind.endswith("Error") else text
    if isinstance(error, _ABOUT_SQL):
        return " ".join(line.strip() for line in text.splitlines() if line.strip())
    return masked(text.partition("\n")[0].strip(), code)


def _columns(connection: duckdb.DuckDBPyConnection, node: Model) -> list[str]:
    return [name for name, _ in describe(connection, node.relation)]


def _documented_columns(
    project: Project, node: Model, result: TestResult, columns: Sequence[str]
) -> TestResult:
    actual = [name.lower() for name in columns]
    described = {c.name for c in node.columns if c.description}
    missing = sorted(described - set(actual))
    if missing:
        message = f"Documented columns that do not exist: {', '.join(missing)}."
        return replace(result, severity="error", status="fail", failures=len(missing), message=message)
    undescribed = [c for c in actual if c not in described and not project.column_descriptions.get(c)]
    if undescribed and node.schema in DOCUMENTED_LAYERS:
        message = f"Columns without a description: {', '.join(undescribed)}."
        return replace(result, status="warn", failures=len(undescribed), message=message)
    return result


def _sample(rows: duckdb.DuckDBPyRelation, node: Model | Seed) -> tuple[Mapping[str, Any], ...]:
    keys = {column.lower() for column in node.texts("grain")}
    shown = [c for c in rows.columns if c.lower() == "id" or c.lower().endswith("_id") or c.lower() in keys]
    if not shown:
        return ()
    names = ", ".join(quoted(c) for c in shown)
    found = rows.project(names).distinct().order(names).limit(SAMPLE_ROWS).fetchall()
    # A grain column may hold an e-mail address.
    hidden = [[masked(v, "") if isinstance(v, str) else v for v in row] for row in found]
    return tuple(dict(zip(shown, row, strict=True)) for row in hidden)


def _failure_message(failures: int, sample: Sequence[Mapping[str, Any]]) -> str:
    rows = "1 failing row" if failures == 1 else f"{failures} failing rows"
    if not sample:
        return f"{rows}."
    return f"{rows}, for example: {'; '.join(map(_shown, sample))}."


def _shown(row: Mapping[str, Any]) -> str:
    """Return the ids that are not null, or all of them as null if none is set."""
    ids = {name: value for name, value in row.items() if value is not None}
    return ", ".join(f"{name} {value}" for name, value in (ids or dict.fromkeys(row, "null")).items())

"""Running one data test against the tables as they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import duckdb

from dbt_like_sql.runner.data_tests import DOCUMENTED_COLUMNS, DataTest, Severity
from dbt_like_sql.runner.masking import masked
from dbt_like_sql.runner.project import Model, Project, Seed
from dbt_like_sql.runner.sql import describe, quoted

READ_BY_PEOPLE = ("marts", "reports")
"""The layers in which every column must be documented."""

SAMPLE_ROWS = 5

_ABOUT_SQL = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.SyntaxException)
"""Errors found before any row is read: what they quote are names."""


@dataclass(frozen=True)
class TestResult:
    """How one test went. `fail` and `error` block when the severity is 'error'."""

    __test__ = False  # pytest: this is no test class

    name: str
    node: str
    column: str | None
    severity: Severity
    status: Literal["pass", "fail", "warn", "error"]
    failures: int = 0
    sample: tuple[Mapping[str, Any], ...] = ()
    """A few failing rows, of which only the ids: what tests find may be personal."""
    sql: str = ""
    message: str = ""

    @property
    def blocks(self) -> bool:
        """Whether the table that was tested must not be published."""
        return self.severity == "error" and self.status in ("fail", "error")


def run_test(
    connection: duckdb.DuckDBPyConnection, project: Project, test: DataTest, broken: Mapping[str, str]
) -> TestResult:
    """Run a test. `broken`: the nodes that this build could not renew."""
    result = TestResult(
        test.name, test.node, test.column, test.severity, "pass", sql=test.sql, message="Passed."
    )
    node = project.node(test.node)
    if test.name == DOCUMENTED_COLUMNS and isinstance(node, Model):
        return _documented_columns(connection, project, node, result)
    unavailable = [project.node(name).relation for name in test.depends_on if name in broken]
    if unavailable:
        status: Literal["warn", "error"] = "error" if test.severity == "error" else "warn"
        return replace(
            result, status=status, message=f"Not run, because {unavailable[0]} failed, which it reads too."
        )
    try:
        rows = connection.sql(test.sql)
        failures = int((rows.aggregate("count(*)").fetchone() or (0,))[0])
        sample = _sample(rows, node) if failures else ()
    except duckdb.Error as error:
        return replace(
            result, status="error", message=f"The test itself cannot run: {plain(error, test.sql)}"
        )
    if not failures:
        return result
    return replace(
        result,
        status="fail" if test.severity == "error" else "warn",
        failures=failures,
        sample=sample,
        message=_found(failures, sample),
    )


def plain(error: duckdb.Error, code: str) -> str:
    """Make one line of DuckDB's message, without the excerpt of the SQL and the kind of error.

    An error that the data caused shows no value of it, lest personal data reach a log.
    """
    text = str(error).partition("\n\nLINE ")[0]
    kind, colon, rest = text.partition(": ")
    text = rest if colon and kind.endswith("Error") else text
    if isinstance(error, _ABOUT_SQL):
        return " ".join(line.strip() for line in text.splitlines() if line.strip())
    return masked(text.partition("\n")[0].strip(), code)


def _documented_columns(
    connection: duckdb.DuckDBPyConnection, project: Project, node: Model, result: TestResult
) -> TestResult:
    actual = [name.lower() for name, _ in describe(connection, node.relation)]
    described = {c.name for c in node.columns if c.description}
    missing = sorted(described - set(actual))
    if missing:
        message = f"Documented, but not there: {', '.join(missing)}."
        return replace(result, severity="error", status="fail", failures=len(missing), message=message)
    bare = [c for c in actual if c not in described and not project.column_descriptions.get(c)]
    if bare and node.schema in READ_BY_PEOPLE:
        message = f"Without a description: {', '.join(bare)}."
        return replace(result, status="warn", failures=len(bare), message=message)
    return result


def _sample(rows: duckdb.DuckDBPyRelation, node: Model | Seed) -> tuple[Mapping[str, Any], ...]:
    grain = node.meta.get("grain") or []
    keys = {str(c).lower() for c in (grain if isinstance(grain, list) else [grain])}
    shown = [c for c in rows.columns if c.lower() == "id" or c.lower().endswith("_id") or c.lower() in keys]
    if not shown:
        return ()
    names = ", ".join(quoted(c) for c in shown)
    found = rows.project(names).distinct().order(names).limit(SAMPLE_ROWS).fetchall()
    # A grain may be an address all the same.
    hidden = [[masked(v, "") if isinstance(v, str) else v for v in row] for row in found]
    return tuple(dict(zip(shown, row, strict=True)) for row in hidden)


def _found(failures: int, sample: Sequence[Mapping[str, Any]]) -> str:
    rows = "1 failing row" if failures == 1 else f"{failures} failing rows"
    if not sample:
        return f"{rows}."
    return f"{rows}, as in: {'; '.join(map(_shown, sample))}."


def _shown(row: Mapping[str, Any]) -> str:
    """The ids that the row has; where it has none, that they are null."""
    there = {name: value for name, value in row.items() if value is not None}
    return ", ".join(f"{name} {value}" for name, value in (there or dict.fromkeys(row, "null")).items())

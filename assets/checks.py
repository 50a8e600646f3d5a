"""Asset checks: those of every list read, and the data tests of the models.

The generic tests of columns are one check a table and kind (`not_null` of all its columns), since each check
costs Dagster four writes a run; a failing one names the columns. Every other test is a check of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from assets.keys import raw_key, relation_key
from dbt_like_sql.runner import DataTest, Model, NodeResult, Project, Seed, TestResult, is_named_by_default
from pipelines.load.sync import ListResult
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.warehouse import RAW

COMPLETE = "read_completely"
QUARANTINE = "no_rows_quarantined"
UNDECLARED = "no_undeclared_attributes"
_OF_LISTS = {
    COMPLETE: "The list was read to its end and landed.",
    QUARANTINE: "Every row could be loaded as it came; the others wait in rivo_raw._quarantine.",
    UNDECLARED: "Rivo sent no attribute that this release does not know; such a one becomes a new column.",
}
_PASSED = "pass"


def check_name(test: DataTest) -> str:
    """The name of the check that a test belongs to: the kind for generic tests of columns, else the test's own."""
    if not is_named_by_default(test):
        return test.name
    return test.kind if test.severity == "error" else f"{test.kind}_warning"


def check_specs(project: Project) -> list[dg.AssetCheckSpec]:
    """Every check there is."""
    return [*_specs_of_lists(), *_specs_of_tests(project)]


def _specs_of_lists() -> Iterator[dg.AssetCheckSpec]:
    for name in ENDPOINTS:
        for check, description in _OF_LISTS.items():
            yield dg.AssetCheckSpec(check, asset=raw_key(name), description=description)


def _specs_of_tests(project: Project) -> Iterator[dg.AssetCheckSpec]:
    for node in project.nodes.values():
        for name, tests in _grouped(project, node).items():
            yield dg.AssetCheckSpec(
                name,
                asset=relation_key(node.relation),
                description=" ".join(test.description for test in tests) or None,
                blocking=tests[0].severity == "error",
                metadata={
                    "sql": dg.MetadataValue.md("\n".join(f"```sql\n{test.sql};\n```" for test in tests))
                },
            )


def _grouped(project: Project, node: Model | Seed) -> dict[str, list[DataTest]]:
    groups: dict[str, list[DataTest]] = {}
    for test in project.tests_of(node.name):
        groups.setdefault(check_name(test), []).append(test)
    return groups


def results_of_list(result: ListResult) -> Iterator[dg.AssetCheckResult]:
    """What the checks of a list say after it was read; those of its rows only where it landed."""
    key = raw_key(result.name)
    yield _result(
        key,
        COMPLETE,
        result.complete,
        result.error or "",
        "Once the cause is mended: Re-execute > From failure in this run's page reads only what failed.",
    )
    if not result.complete:
        return
    yield _result(
        key,
        QUARANTINE,
        not result.counts.rows_quarantined,
        f"{result.counts.rows_quarantined} rows could not be loaded as they came.",
        f"See the reasons: select reason, count(*) from {RAW}._quarantine where list = '{result.name}' group by all",
        dg.AssetCheckSeverity.WARN,
        {"rows_quarantined": result.counts.rows_quarantined},
    )
    yield _result(
        key,
        UNDECLARED,
        not result.new_columns,
        f"Rivo sent attributes unknown so far; they are new columns now: {', '.join(result.new_columns)}.",
        "Nothing is lost. Use them in a model, or wait for a release that describes them.",
        dg.AssetCheckSeverity.WARN,
    )


def results_of_tests(project: Project, result: NodeResult) -> Iterator[dg.AssetCheckResult]:
    """What the checks of a table say after it was built."""
    if not result.tests:
        return
    node = project.node(result.name)
    told = {test.name: test for test in result.tests}
    for name, tests in _grouped(project, node).items():
        yield _result_of(relation_key(node.relation), name, [told[test.name] for test in tests])


def _result_of(key: dg.AssetKey, name: str, tests: Sequence[TestResult]) -> dg.AssetCheckResult:
    failed = [test for test in tests if test.status != _PASSED]
    said = " ".join(f"{test.column}: {test.message}" if len(tests) > 1 else test.message for test in failed)
    # `documented_columns` decides by what it finds.
    warns = all(test.severity == "warn" for test in failed or tests)
    blocks = any(test.blocks for test in failed)
    queries = ";\n".join(test.sql for test in failed if test.sql)
    next_step = (
        "Readers keep the last good state until this passes. Look the rows up in Rivo by their ids; once the data or "
        "the model is mended, materialize this table and what is downstream of it, with published/warehouse."
        if blocks
        else "The table was published all the same. See all rows with the SQL below (`rivo query`)."
    )
    metadata: dict[str, Any] = {"failures": sum(test.failures for test in failed)}
    if any(test.column for test in failed):
        metadata["columns"] = ", ".join(str(test.column) for test in failed)
    samples = {test.column or test.name: _plain(test.sample) for test in failed if test.sample}
    if samples:
        metadata["sample"] = dg.MetadataValue.json(
            next(iter(samples.values())) if len(tests) == 1 else samples
        )
    if queries:
        metadata["sql"] = dg.MetadataValue.md(f"```sql\n{queries}\n```")
    severity = dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR
    return _result(key, name, not failed, said, next_step, severity, metadata)


def _result(
    key: dg.AssetKey,
    name: str,
    passed: bool,
    message: str,
    next_step: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    metadata: dict[str, Any] | None = None,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=key,
        check_name=name,
        severity=severity,
        description=None if passed else message,
        metadata={} if passed else {**(metadata or {}), "next_step": next_step},
    )


def _plain(sample: Iterable[Any]) -> list[dict[str, Any]]:
    return [
        {
            name: value if isinstance(value, int | float | str | None) else str(value)
            for name, value in row.items()
        }
        for row in sample
    ]

"""Asset checks: three for each list, and the data tests of the models.

The data tests in the property file of a table form one check, because each check costs Dagster four writes per run. If
it fails, it names the tests. Each singular test, which has a file in `tests/`, is a check of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from assets.instance.private import suppress_dagster_warnings
from assets.keys import raw_key, relation_key
from dbt_like_sql.runner import DOCUMENTED_COLUMNS, DataTest, Model, NodeResult, Project, Seed, TestResult
from pipelines.load.sync import ListResult
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.warehouse import RAW

COMPLETE = "read_completely"
QUARANTINE = "no_rows_quarantined"
UNDECLARED = "no_undeclared_attributes"
_LIST_CHECKS = {
    COMPLETE: "The list was read to its end and loaded.",
    QUARANTINE: "All rows could be parsed. Rows that cannot be parsed are kept in rivo_raw._quarantine.",
    UNDECLARED: "All attributes that Rivo sent are declared in this release. Any other attribute becomes a new column.",
}
_PASSED = "pass"
DATA_TESTS = "data_tests"
"""The check that consists of the tests in the property file of a table."""


def check_name(test: DataTest) -> str:
    """Return the name of a test's check: its own name if it is a singular test."""
    return DATA_TESTS if test.kind or test.name == DOCUMENTED_COLUMNS else test.name


@suppress_dagster_warnings
def check_specs(
    project: Project, partitions: dg.PartitionsDefinition[str] | None = None
) -> list[dg.AssetCheckSpec]:
    """Return the specs of all checks, each with a result of its own for each shop if there are several."""
    return [*_list_specs(partitions), *_test_specs(project, partitions)]


def _list_specs(partitions: dg.PartitionsDefinition[str] | None) -> Iterator[dg.AssetCheckSpec]:
    for name in ENDPOINTS:
        for check, description in _LIST_CHECKS.items():
            yield dg.AssetCheckSpec(
                check, asset=raw_key(name), description=description, partitions_def=partitions
            )


def _test_specs(
    project: Project, partitions: dg.PartitionsDefinition[str] | None
) -> Iterator[dg.AssetCheckSpec]:
    for node in project.nodes.values():
        for name, tests in _tests_by_check(project, node).items():
            yield dg.AssetCheckSpec(
                name,
                asset=relation_key(node.relation),
                description="\n".join(f"- {test.description}" for test in tests if test.description) or None,
                blocking=any(test.severity == "error" for test in tests),
                metadata={
                    "sql": dg.MetadataValue.md(
                        "\n".join(f"```sql\n{test.sql};\n```" for test in tests if test.sql)
                    )
                },
                partitions_def=partitions,
            )


def _tests_by_check(project: Project, node: Model | Seed) -> dict[str, list[DataTest]]:
    groups: dict[str, list[DataTest]] = {}
    for test in project.tests_of(node.name):
        groups.setdefault(check_name(test), []).append(test)
    return groups


def results_of_list(result: ListResult) -> Iterator[dg.AssetCheckResult]:
    """Yield the check results of a list; those of its rows only if the list was loaded."""
    key = raw_key(result.name)
    yield _result(
        key,
        COMPLETE,
        result.complete,
        result.error or "",
        "Fix the cause, then choose Re-execute > From failure on the run's page: it reads only the lists that failed.",
    )
    if not result.complete:
        return
    yield _result(
        key,
        QUARANTINE,
        not result.counts.rows_quarantined,
        f"{result.counts.rows_quarantined} rows could not be parsed and were quarantined.",
        f"List the reasons: select reason, count(*) from {RAW}._quarantine where list = '{result.name}' group by all",
        dg.AssetCheckSeverity.WARN,
        {"rows_quarantined": result.counts.rows_quarantined},
    )
    yield _result(
        key,
        UNDECLARED,
        not result.new_columns,
        f"Rivo sent undeclared attributes, which were loaded as new columns: {', '.join(result.new_columns)}.",
        "No data is lost. Use the columns in a model, or wait for a release that declares them.",
        dg.AssetCheckSeverity.WARN,
    )


def results_of_tests(project: Project, result: NodeResult) -> Iterator[dg.AssetCheckResult]:
    """Yield the check results of a table that was built."""
    if not result.tests:
        return
    node = project.node(result.name)
    by_name = {test.name: test for test in result.tests}
    for name, tests in _tests_by_check(project, node).items():
        yield _result_of_tests(relation_key(node.relation), name, [by_name[test.name] for test in tests])


def _result_of_tests(key: dg.AssetKey, name: str, tests: Sequence[TestResult]) -> dg.AssetCheckResult:
    failed = [test for test in tests if test.status != _PASSED]
    message = " ".join(
        test.message if test.name == name else f"{test.name}: {test.message}" for test in failed
    )
    warns = all(test.severity == "warn" for test in failed or tests)
    blocks = any(test.blocks for test in failed)
    queries = ";\n".join(test.sql for test in failed if test.sql)
    next_step = (
        "Readers keep the last published warehouse until this check passes. Look up the rows in Rivo by their ids. "
        "Once the data or the model is fixed, materialize this table, its downstream tables and published/warehouse."
        if blocks
        else "This check does not block publishing. To list all failing rows, run the SQL below with `rivo query`."
    )
    metadata: dict[str, Any] = {"failures": sum(test.failures for test in failed)}
    if samples := {test.name: _json_rows(test.sample) for test in failed if test.sample}:
        metadata["sample"] = dg.MetadataValue.json(samples)
    if queries:
        metadata["sql"] = dg.MetadataValue.md(f"```sql\n{queries}\n```")
    severity = dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR
    return _result(key, name, not failed, message, next_step, severity, metadata)


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


def _json_rows(sample: Iterable[Any]) -> list[dict[str, Any]]:
    return [
        {
            name: value if isinstance(value, int | float | str | None) else str(value)
            for name, value in row.items()
        }
        for row in sample
    ]

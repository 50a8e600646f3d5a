"""What Dagster is given: it loads without key and network, and nothing of it changes unnoticed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

from assets import specs as lineage
from assets.checks import check_name
from assets.definitions import defs
from assets.freshness import freshness_policy
from assets.keys import relation_key
from dbt_like_sql.runner import load_project
from pipelines.rivo.endpoints import ENDPOINTS

SNAPSHOT = Path(__file__).parent / "asset_graph.txt"


def asset_graph() -> str:
    """One line an asset: key, group, kinds, and what it is made of."""
    lines = []
    for spec in sorted(defs.resolve_all_asset_specs(), key=lambda spec: list(spec.key.path)):
        deps = ", ".join(sorted(dep.asset_key.to_user_string() for dep in spec.deps))
        lines.append(
            f"{spec.key.to_user_string()} [{spec.group_name}; {', '.join(sorted(spec.kinds))}] <- {deps}"
        )
    return "\n".join(lines) + "\n"


def test_the_asset_graph_is_the_one_that_was_reviewed() -> None:
    """To accept a change: `python -m tests.assets.test_definitions`, and look at the difference."""
    assert asset_graph() == SNAPSHOT.read_text()


def test_every_asset_has_a_description_and_a_group() -> None:
    specs = defs.resolve_all_asset_specs()

    assert len(specs) > 40
    assert [spec.key.to_user_string() for spec in specs if not spec.description or not spec.group_name] == []


def test_the_lineage_leads_from_rivos_lists_to_the_published_file() -> None:
    graph = defs.resolve_asset_graph()
    upstream = set()
    todo = {dg.AssetKey(["published", "warehouse"])}
    while todo:
        key = todo.pop()
        upstream.add(key)
        todo |= set(graph.get(key).parent_keys) - upstream

    lists = {key for key in graph.get_all_asset_keys() if key.path[0] == "rivo"}
    assert {key.path[-1] for key in lists} == set(ENDPOINTS)
    assert lists <= upstream
    assert dg.AssetKey(["reports", "rpt_tier_migration"]) in upstream


def test_the_schedule_runs_the_whole_job() -> None:
    schedule = defs.resolve_schedule_def("daily_sync")

    assert schedule.cron_schedule == "0 3 * * *"
    assert schedule.execution_timezone == "UTC"
    job = defs.resolve_job_def("daily_sync")
    assert set(job.asset_layer.executable_asset_keys) == {
        spec.key for spec in defs.resolve_all_asset_specs() if spec.key.path[0] not in ("rivo", "rivo_events")
    }


def test_blocking_tests_are_blocking_checks() -> None:
    graph = defs.resolve_asset_graph()
    table = dg.AssetKey(["marts", "dim_member"])

    assert graph.get_check_spec(dg.AssetCheckKey(table, "unique")).blocking
    assert not graph.get_check_spec(dg.AssetCheckKey(table, "relationships_warning")).blocking


def test_every_data_test_is_part_of_a_check() -> None:
    project = load_project()
    graph = defs.resolve_asset_graph()
    tests = [test for node in project.nodes.values() for test in project.tests_of(node.name)]

    for test in tests:
        key = dg.AssetCheckKey(relation_key(project.node(test.node).relation), check_name(test))
        spec = graph.get_check_spec(key)
        assert test.description in str(spec.description)
        assert test.sql in str(spec.metadata["sql"].value)
        assert spec.blocking == (test.severity == "error")
    assert len(tests) > 500


def test_every_table_tells_where_it_comes_from() -> None:
    for spec in defs.resolve_all_asset_specs():
        if spec.key.path[0] in ("rivo", "rivo_events", "published"):
            continue
        references = spec.metadata["dagster/code_references"].code_references
        assert [Path(reference.file_path).exists() for reference in references] == [True]
        assert spec.metadata["dagster/table_name"] == ".".join(spec.key.path)


def test_every_list_leads_to_its_documentation() -> None:
    lists = [spec for spec in defs.resolve_all_asset_specs() if spec.key.path[0] == "rivo"]

    for spec in lists:
        assert str(spec.metadata["documentation"].value).startswith(
            "https://developer-docs.rivo.io/reference/"
        )


def test_raw_tables_describe_their_columns() -> None:
    for spec in defs.resolve_all_asset_specs():
        if spec.group_name == "rivo_raw":
            schema = spec.metadata["dagster/column_schema"]
            assert [c.name for c in schema.columns if not c.description] == []


@pytest.mark.parametrize(
    ("cron", "timezone", "hours"),
    [
        ("0 3 * * *", "UTC", 24),
        ("0 3 * * *", "Europe/Berlin", 25),
        ("30 */6 * * *", "UTC", 6),
        ("0 3 * * mon-fri", "UTC", 72),
    ],
)
def test_a_table_is_late_by_its_schedule(cron: str, timezone: str, hours: int) -> None:
    policy = freshness_policy(cron, timezone)

    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert policy.fail_window.to_timedelta() == timedelta(hours=hours + 3)
    assert policy.warn_window is not None
    assert policy.warn_window.to_timedelta() == timedelta(hours=hours + 1)


def test_owners_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_OWNERS", "team:loyalty, ada@shop.example")
    lineage._settings.cache_clear()
    specs = lineage.rivo_specs()
    lineage._settings.cache_clear()

    assert {tuple(spec.owners) for spec in specs} == {("team:loyalty", "ada@shop.example")}


if __name__ == "__main__":
    SNAPSHOT.write_text(asset_graph())

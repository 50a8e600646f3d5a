"""The definitions that Dagster loads: without key and network, and with an asset graph that was reviewed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import specs
from assets.checks import check_name
from assets.definitions import defs
from assets.freshness import freshness_policy
from assets.keys import relation_key
from dbt_like_sql.runner import load_project
from pipelines.rivo.endpoints import ENDPOINTS

NOT_SYNCED = ("rivo", "rivo_events", "rivo_actions", "actions")
"""Groups of assets that a sync does not materialize."""
SNAPSHOT = Path(__file__).parent / "asset_graph.txt"


def asset_graph() -> str:
    """Return one line for each asset: key, group, kinds, and dependencies."""
    lines = []
    for spec in sorted(defs.resolve_all_asset_specs(), key=lambda spec: list(spec.key.path)):
        deps = ", ".join(sorted(dep.asset_key.to_user_string() for dep in spec.deps))
        lines.append(
            f"{spec.key.to_user_string()} [{spec.group_name}; {', '.join(sorted(spec.kinds))}] <- {deps}"
        )
    return "\n".join(lines) + "\n"


def test_asset_graph_equals_the_snapshot() -> None:
    """To accept a change: run `make snapshot`, and review the difference."""
    assert asset_graph() == SNAPSHOT.read_text()


def test_assets_have_a_description_and_a_group() -> None:
    all_specs = defs.resolve_all_asset_specs()

    assert len(all_specs) > 40
    assert [
        spec.key.to_user_string() for spec in all_specs if not spec.description or not spec.group_name
    ] == []


def test_published_file_depends_on_all_lists() -> None:
    graph = defs.resolve_asset_graph()
    upstream = set()
    todo = {dg.AssetKey(["published", "warehouse"])}
    while todo:
        key = todo.pop()
        upstream.add(key)
        todo |= set(graph.get(key).parent_keys) - upstream

    lists = {key for key in graph.get_all_asset_keys() if key.path[0] == "rivo"}
    assert {key.path[1] for key in lists} == set(ENDPOINTS)
    assert lists <= upstream
    assert dg.AssetKey(["reports", "rpt_tier_migration"]) in upstream


def test_schedule_runs_all_assets() -> None:
    schedule = defs.resolve_schedule_def("daily_sync")

    assert schedule.cron_schedule == "0 3 * * *"
    assert schedule.execution_timezone == "UTC"
    job = defs.resolve_job_def("daily_sync")
    assert set(job.asset_layer.executable_asset_keys) == {
        spec.key for spec in defs.resolve_all_asset_specs() if spec.key.path[0] not in NOT_SYNCED
    }


def test_tests_with_severity_error_block() -> None:
    graph = defs.resolve_asset_graph()
    table = dg.AssetKey(["marts", "dim_member"])

    assert graph.get_check_spec(dg.AssetCheckKey(table, "data_tests")).blocking
    assert not graph.get_check_spec(
        dg.AssetCheckKey(dg.AssetKey(["reports", "rpt_data_trust"]), "data_can_be_trusted")
    ).blocking


def test_data_tests_are_all_part_of_a_check() -> None:
    project = load_project()
    graph = defs.resolve_asset_graph()
    tests = [test for node in project.nodes.values() for test in project.tests_of(node.name)]

    for test in tests:
        key = dg.AssetCheckKey(relation_key(project.node(test.node).relation), check_name(test))
        spec = graph.get_check_spec(key)
        assert test.description in str(spec.description)
        assert test.sql in str(spec.metadata["sql"].value)
        assert spec.blocking or test.severity == "warn"
    assert len(tests) > 500


def test_tables_link_to_their_code() -> None:
    for spec in defs.resolve_all_asset_specs():
        if spec.key.path[0] in ("rivo", "rivo_events", "published", "actions"):
            continue
        references = spec.metadata["dagster/code_references"].code_references
        assert [Path(reference.file_path).exists() for reference in references] == [True]
        assert spec.metadata["dagster/table_name"] == ".".join(spec.key.path)


def test_lists_link_to_their_documentation() -> None:
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
def test_freshness_policy_follows_the_schedule(cron: str, timezone: str, hours: int) -> None:
    policy: Any = freshness_policy(cron, timezone)

    assert policy.fail_window.to_timedelta() == timedelta(hours=hours + 3)
    assert policy.warn_window.to_timedelta() == timedelta(hours=hours + 1)


def test_owners_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_OWNERS", "team:loyalty, ada@shop.example")
    specs._settings.cache_clear()
    lists = specs.rivo_specs()
    specs._settings.cache_clear()

    assert {tuple(spec.owners) for spec in lists} == {("team:loyalty", "ada@shop.example")}


if __name__ == "__main__":
    SNAPSHOT.write_text(asset_graph())

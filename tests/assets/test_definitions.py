"""What Dagster is given: it loads without key and network, and nothing of it changes unnoticed."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from assets.definitions import defs

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
    assert len(lists) == 7
    assert lists <= upstream
    assert dg.AssetKey(["reports", "rpt_tier_migration"]) in upstream


def test_the_schedule_runs_the_whole_job() -> None:
    schedule = defs.resolve_schedule_def("daily_sync")

    assert schedule.cron_schedule == "0 3 * * *"
    assert schedule.execution_timezone == "UTC"
    job = defs.resolve_job_def("daily_sync")
    assert set(job.asset_layer.executable_asset_keys) == {
        spec.key for spec in defs.resolve_all_asset_specs() if spec.key.path[0] != "rivo"
    }


def test_blocking_tests_are_blocking_checks() -> None:
    graph = defs.resolve_asset_graph()
    unique = dg.AssetCheckKey(dg.AssetKey(["marts", "dim_member"]), "unique_dim_member_customer_id")

    assert graph.get_check_spec(unique).blocking


if __name__ == "__main__":
    SNAPSHOT.write_text(asset_graph())

"""The definitions and schedules of several shops: a partition for each, and with one shop everything as before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from assets.definitions import definitions
from assets.freshness import ON_TIME
from assets.jobs import sync_schedules
from pipelines.settings import Settings
from tests.harness.store import project

MODEL = "staging/stg_rivo__vip_tiers"


def with_shops(patch: pytest.MonkeyPatch, names: str, **variables: str) -> Settings:
    """Return settings with RIVO_SHOPS, and RIVO_SHOP_<NAME> of these."""
    patch.setenv("RIVO_SHOPS", names)
    for name, value in variables.items():
        patch.setenv(f"RIVO_SHOP_{name.upper()}", value)
    return Settings.load()


# -- definitions --------------------------------------------------------------------------------------


def test_several_shops_partition_all_assets_but_the_lists_and_the_file_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    defs = definitions(with_shops(monkeypatch, "de,fr"), project())
    graph = defs.resolve_asset_graph()

    partitions = {key.to_user_string(): graph.get(key).partitions_def for key in graph.get_all_asset_keys()}
    plain = {name for name, each in partitions.items() if each is None}
    assert plain == {name for name in partitions if name.startswith("rivo/")} | {"published/all_shops"}
    assert {tuple(each.get_partition_keys()) for each in partitions.values() if each} == {("de", "fr")}
    checks = [graph.get(key) for key in graph.asset_check_keys]
    assert len(checks) > 100
    assert all(check.partitions_def == partitions[MODEL] for check in checks)
    for job in ("daily_sync", "full_sweep", "models_only", "apply_actions", "retrieve_row"):
        assert defs.resolve_job_def(job).partitions_def == partitions[MODEL]


@pytest.mark.parametrize("names", ["", "de"])
def test_one_shop_has_no_partitions_and_the_names_of_before(
    monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    plain = definitions(Settings.load(), project())
    defs = definitions(with_shops(monkeypatch, names), project())
    graph = defs.resolve_asset_graph()

    assert all(graph.get(key).partitions_def is None for key in graph.get_all_asset_keys())
    assert graph.asset_check_keys == plain.resolve_asset_graph().asset_check_keys
    assert ON_TIME not in graph.asset_check_keys
    for name in ("jobs", "schedules", "sensors"):
        assert [each.name for each in getattr(defs, name)] == [each.name for each in getattr(plain, name)]
    assert defs.resolve_job_def("daily_sync").all_node_defs[0].pools == {"rivo_warehouse"}


def test_several_shops_use_no_pool_and_no_freshness_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    defs = definitions(with_shops(monkeypatch, "de,fr"), project())

    assert [spec.key for spec in defs.resolve_all_asset_specs() if spec.freshness_policy] == []
    for job in ("daily_sync", "apply_actions"):
        assert [node.pools for node in defs.resolve_job_def(job).all_node_defs] == [set()]
    assert ON_TIME in defs.resolve_asset_graph().asset_check_keys


# -- schedules ----------------------------------------------------------------------------------------


def test_shops_with_one_schedule_share_daily_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    [schedule] = sync_schedules(with_shops(monkeypatch, "de,fr", de_api_key="a", fr_api_key="b"))
    assert (schedule.name, schedule.cron_schedule, schedule.execution_timezone) == (
        *("daily_sync", "0 3 * * *", "UTC"),
    )
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_each_time_zone_has_a_schedule_with_a_run_for_each_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_shops(
        monkeypatch,
        "de,at,us,ny",
        de_timezone="Europe/Berlin",
        at_timezone="Europe/Berlin",
        us_timezone="America/New_York",
        ny_timezone="America/New_York",
        us_sync_cron="30 */6 * * mon-fri",
    )
    repository = definitions(settings, project()).get_repository_def()
    schedules = {schedule.name: schedule for schedule in repository.schedule_defs}

    assert set(schedules) == {
        "daily_sync_europe_berlin_0300",
        "daily_sync_america_new_york_30_xby6_x_x_montofri",
        "daily_sync_america_new_york_0300",
    }
    berlin: Any = schedules["daily_sync_europe_berlin_0300"]
    night = datetime(2026, 10, 5, 1, tzinfo=UTC)
    requests = berlin.evaluate_tick(
        dg.build_schedule_context(scheduled_execution_time=night, repository_def=repository)
    ).run_requests
    assert [request.partition_key for request in requests] == ["de", "at"]
    later = dg.build_schedule_context(
        scheduled_execution_time=night + timedelta(days=1), repository_def=repository
    )
    keys = {request.run_key for request in (*requests, *berlin.evaluate_tick(later).run_requests)}
    assert len(keys) == 4, "a run key is used once"


def test_schedules_of_demo_shops_follow_their_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    schedules = sync_schedules(with_shops(monkeypatch, "demo_eu,demo_us"))
    assert {schedule.execution_timezone for schedule in schedules} == {"Europe/Berlin", "America/New_York"}


def test_schedules_of_equal_words_have_different_names(monkeypatch: pytest.MonkeyPatch) -> None:
    schedules = sync_schedules(
        with_shops(
            monkeypatch, "a,b,c", a_sync_cron="0 3 * * *", b_sync_cron="00 3 * * *", c_sync_cron="0 4 * * *"
        )
    )
    assert [each.name for each in schedules] == [
        *("daily_sync_utc_0300", "daily_sync_utc_0300_2", "daily_sync_utc_0400"),
    ]

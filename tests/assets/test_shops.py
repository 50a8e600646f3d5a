"""Several shops in Dagster: a partition for each, and each told apart from the others in runs, storage and alerts."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.definitions import definitions
from assets.freshness import ON_TIME
from assets.jobs import sync_schedules
from assets.keys import PUBLISHED
from assets.sensors import event_key
from assets.shops import project_of
from pipelines.errors import SettingsError
from pipelines.settings import PROJECT, Settings
from tests.assets.test_alerts import Webhook, served_webhook
from tests.harness.dagster_shops import SHOPS, Shops
from tests.harness.store import project

RESUME = "dagster/is_resume_retry"
LIST = "rivo_raw/vip_tiers"
MODEL = "staging/stg_rivo__vip_tiers"
PLAN = {"ops": {"actions": {"config": {"apply": False}}}}


def with_shops(patch: pytest.MonkeyPatch, names: str, **variables: str) -> Settings:
    """Return settings with RIVO_SHOPS, and RIVO_SHOP_<NAME> of these."""
    patch.setenv("RIVO_SHOPS", names)
    for name, value in variables.items():
        patch.setenv(f"RIVO_SHOP_{name.upper()}", value)
    return Settings.load()


def last(shops: Shops, shop: str, key: str) -> dg.EventLogRecord | None:
    """Return a shop's last materialization of an asset."""
    of_shop = dg.AssetRecordsFilter(dg.AssetKey(key.split("/")), asset_partitions=[shop])
    return next(iter(shops.instance.fetch_materializations(of_shop, limit=1).records), None)


def checks(shops: Shops) -> list[tuple[Any, ...]]:
    """Return the partition, the status and the number of results of checks in Dagster's storage."""
    path = shops.folder / "dagster" / "history" / "runs" / "index.db"
    with closing(sqlite3.connect(path)) as index:
        return index.execute(
            "select partition, execution_status, count(*) from asset_check_executions group by 1, 2 order by 1, 2"
        ).fetchall()


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


# -- runs ---------------------------------------------------------------------------------------------


def test_run_of_a_shop_leaves_the_other_as_it_is(shops: Shops) -> None:
    other = shops.warehouse("fr").path.read_bytes()

    result = shops.run_job("de", LIST, MODEL)

    assert result.success
    assert shops.servers["de"].requests
    assert shops.servers["fr"].requests == []
    assert shops.warehouse("fr").path.read_bytes() == other
    assert last(shops, "de", LIST)
    assert last(shops, "fr", LIST) is None
    [run] = shops.instance.get_runs()
    assert run.tags["dagster/partition"] == "de"


def test_results_of_checks_are_those_of_the_shop(shops: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_SHOP_FR_API_KEY", "another-key-987654")
    assert shops.run_job("de", LIST).success
    assert not shops.run_job("fr", LIST).success

    assert checks(shops) == [("de", "SUCCEEDED", 3), ("fr", "PLANNED", 3)]


def test_model_is_shown_for_a_shop_although_another_shop_showed_it(shops: Shops) -> None:
    assert shops.run_job("de", MODEL).success

    # The rows of both shops are the same, and fr's model is as its last build left it.
    assert shops.run_job("fr", LIST, MODEL).success

    assert last(shops, "fr", MODEL)
    assert shops.run_job("fr", LIST, MODEL).success
    runs = shops.instance.fetch_materializations(dg.AssetKey(MODEL.split("/")), limit=9).records
    assert len(runs) == 2, "it has not changed since"


def test_resumed_run_reads_a_list_that_only_another_shop_loaded(shops: Shops) -> None:
    loaded = shops.run_job("de", LIST)
    tags = {RESUME: "true", "dagster/parent_run_id": loaded.run_id}

    assert shops.run_job("fr", LIST, tags=tags).success
    assert shops.servers["fr"].requests
    asked = len(shops.servers["de"].requests)
    assert shops.run_job("de", LIST, MODEL, tags=tags).success
    assert len(shops.servers["de"].requests) == asked


def test_shop_without_a_key_is_a_failure_of_its_own(shops: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RIVO_SHOP_FR_API_KEY")

    failed = shops.run_job("fr", LIST)

    [failure] = failed.get_step_failure_events()
    assert "RIVO_SHOP_FR_API_KEY is not set" in str(failure.step_failure_data.error)
    assert shops.run_job("de", LIST).success


def test_run_uses_the_seeds_of_the_shop(
    shops: Shops, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "project"
    shutil.copytree(PROJECT / "dbt_like_sql", root, ignore=shutil.ignore_patterns("__pycache__"))
    usual = (root / "seeds" / "reward_type_values.csv").read_text()
    own = root / "seeds" / "shops" / "fr" / "reward_type_values.csv"
    own.parent.mkdir(parents=True)
    own.write_text("\n".join(usual.splitlines()[:2]) + "\n")
    plain = replace(project(), root=root)

    assert project_of(plain, Settings.load().of_shop("de")) is plain
    seed = project_of(plain, Settings.load().of_shop("fr")).node("reward_type_values")
    assert seed.path.parts[:3] == ("seeds", "shops", "fr")

    own.write_text("nonsense\n1\n")
    with pytest.raises(SettingsError, match=r"seeds/shops/fr/reward_type_values\.csv"):
        project_of(plain, Settings.load().of_shop("fr"))


def test_old_run_with_the_last_materialization_of_a_shop_is_kept(shops: Shops) -> None:
    first, second = shops.run_job("de", LIST).run_id, shops.run_job("fr", LIST).run_id
    with closing(sqlite3.connect(shops.folder / "dagster" / "history" / "runs.db")) as runs, runs:
        runs.execute("update runs set create_timestamp = datetime('now', '-91 days')")

    assert shops.run_job("fr", LIST).success

    assert shops.instance.get_run_by_id(first), "it holds the last of de"
    assert shops.run_job("fr", LIST).success
    assert not shops.instance.get_run_by_id(second), "fr has a later one"
    assert last(shops, "de", LIST)


def test_retrieved_row_is_that_of_the_shop(shops: Shops) -> None:
    customer = next(iter(shops.servers["fr"].program.snapshot(shops.servers["fr"].now)["customers"]))["id"]
    config = {"ops": {"ask": {"config": {"list_name": "customers", "id": customer}}}}

    result = shops.run_job("fr", job="retrieve_row", run_config=config)

    assert result.success
    assert shops.servers["fr"].requests
    assert shops.servers["de"].requests == []
    [event] = result.get_asset_observation_events()
    assert event.partition == "fr"


def test_action_is_planned_for_the_shop(shops: Shops) -> None:
    result = shops.run_job("fr", "actions/win_back_at_risk", job="apply_actions", run_config=PLAN)

    assert result.success
    [event] = result.get_asset_observation_events()
    assert event.partition == "fr"
    assert shops.servers["de"].requests == []


# -- concurrency --------------------------------------------------------------------------------------


def test_queue_limits_the_runs_of_each_shop_not_those_of_all(shops: Shops) -> None:
    queue = shops.instance.get_concurrency_config().run_queue_config
    assert queue
    assert queue.max_concurrent_runs > 1
    assert queue.tag_concurrency_limits == [
        {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    ]


# -- alerts -------------------------------------------------------------------------------------------


@pytest.fixture
def webhooks() -> Iterator[dict[str, Webhook]]:
    """A receiver of alerts for each shop."""
    with served_webhook() as de, served_webhook() as fr:
        yield {"de": de, "fr": fr}


def test_alert_names_the_shop_and_goes_to_its_own_url(
    shops: Shops, webhooks: dict[str, Webhook], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVO_ALERT_URL", webhooks["de"].url)
    monkeypatch.setenv("RIVO_SHOP_FR_ALERT_URL", webhooks["fr"].url)
    for shop in SHOPS:
        monkeypatch.setenv(f"RIVO_SHOP_{shop.upper()}_API_KEY", f"another-key-{shop}")
        assert not shops.run_job(shop, LIST).success

    for shop in SHOPS:
        [posted] = webhooks[shop].posted
        assert posted["text"].startswith(f"Rivo sync of {shop} failed: Rivo refused the key (401).")
        assert posted["blocks"][0]["text"]["text"] == f"Rivo sync of {shop} failed"


# -- freshness ----------------------------------------------------------------------------------------


def evaluated(shops: Shops, cursor: str | None) -> tuple[dict[str, dg.AssetCheckEvaluation], str]:
    """Evaluate the sensor once; return the results by shop, and the cursor."""
    sensor = shops.defs.resolve_sensor_def("sync_lateness")
    result = sensor.evaluate_tick(dg.build_sensor_context(instance=shops.instance, cursor=cursor))
    events: Any = result.asset_events
    assert all(event.asset_check_key == ON_TIME for event in events)
    return {event.partition: event for event in events}, str(result.cursor)


def aged(cursor: str, shop: str, hours: float) -> str:
    """Move what the sensor knows of a shop into the past."""
    import json

    known = json.loads(cursor)
    known[shop]["at"] -= timedelta(hours=hours).total_seconds()
    return json.dumps(known)


def test_late_shop_is_reported_although_another_shop_is_on_time(shops: Shops) -> None:
    assert shops.defs.resolve_sensor_def("sync_lateness").default_status == dg.DefaultSensorStatus.RUNNING
    found, cursor = evaluated(shops, None)
    assert found == {}, "a shop that waits for its first sync is neither late nor on time"
    for shop in SHOPS:
        shops.instance.report_runless_asset_event(dg.AssetMaterialization(PUBLISHED, partition=shop))
    found, cursor = evaluated(shops, cursor)
    assert {shop: event.passed for shop, event in found.items()} == {"de": True, "fr": True}
    assert evaluated(shops, cursor)[0] == {}, "nothing happened"

    found, cursor = evaluated(shops, aged(cursor, "fr", 25.1))
    assert list(found) == ["fr"]
    assert (found["fr"].passed, found["fr"].severity) == (False, dg.AssetCheckSeverity.WARN)
    since = datetime.now(UTC) - timedelta(hours=25.1)
    assert f"fr has not been published since {since:%Y-%m-%d %H:}" in str(found["fr"].description)
    found, cursor = evaluated(shops, aged(cursor, "fr", 2))
    assert found["fr"].severity == dg.AssetCheckSeverity.ERROR

    shops.instance.report_runless_asset_event(dg.AssetMaterialization(PUBLISHED, partition="fr"))
    found, cursor = evaluated(shops, cursor)
    assert list(found) == ["fr"]
    assert found["fr"].passed


def test_shop_that_was_never_published_becomes_late(shops: Shops) -> None:
    _, cursor = evaluated(shops, None)
    found, _ = evaluated(shops, aged(cursor, "de", 30))

    assert list(found) == ["de"]
    assert "de has not been published yet" in str(found["de"].description)


def test_lateness_of_a_shop_follows_its_own_schedule(shops: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_SHOP_FR_SYNC_CRON", "0 */6 * * *")
    _, cursor = evaluated(shops, None)
    found, _ = evaluated(shops, aged(aged(cursor, "de", 10), "fr", 10))

    assert list(found) == ["fr"]


def test_result_of_a_late_shop_is_stored_for_its_partition(shops: Shops) -> None:
    _, cursor = evaluated(shops, None)
    found, _ = evaluated(shops, aged(cursor, "fr", 30))
    shops.instance.report_runless_asset_event(found["fr"])

    assert checks(shops) == [("fr", "FAILED", 1)]


# -- the assets of events -----------------------------------------------------------------------------


def test_events_of_each_shop_request_a_run_of_its_action(shops: Shops) -> None:
    sensor = shops.defs.resolve_sensor_def("apply_welcome_new_tier")

    def requested(cursor: str | None) -> tuple[list[str | None], str | None]:
        data = sensor.evaluate_tick(
            dg.build_sensor_context(instance=shops.instance, cursor=cursor, definitions=shops.defs)
        )
        return [request.partition_key for request in data.run_requests or ()], data.cursor or cursor

    assert requested(None) == ([], None)
    for shop in SHOPS:
        event = dg.AssetMaterialization(event_key("vip_tier_changed"), partition=shop)
        shops.instance.report_runless_asset_event(event)
    found, cursor = requested(None)
    assert found == ["de", "fr"], "an asset sensor of Dagster sees the last event only"
    assert requested(cursor) == ([], cursor)
    event = dg.AssetMaterialization(event_key("vip_tier_changed"), partition="de")
    shops.instance.report_runless_asset_event(event)
    assert requested(cursor)[0] == ["de"]
    # The cursor from the time before RIVO_SHOPS was set: the position of the last event.
    assert requested("1")[0] == ["de", "fr"]

"""Several shops in Dagster: a partition for each, and each told apart from the others in runs, storage and alerts."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

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


def last(shops: Shops, shop: str, key: str) -> dg.EventLogRecord | None:
    """Return a shop's last materialization of an asset."""
    of_shop = dg.AssetRecordsFilter(dg.AssetKey(key.split("/")), asset_partitions=[shop])
    return next(iter(shops.instance.fetch_materializations(of_shop, limit=1).records), None)


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

    assert shops.check_results() == [("de", "SUCCEEDED", 3), ("fr", "PLANNED", 3)]


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

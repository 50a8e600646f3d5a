"""Shops that are late are reported one by one, though Dagster's freshness looks at all shops together."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from assets.freshness import ON_TIME
from assets.keys import PUBLISHED
from tests.harness.dagster_shops import SHOPS, Shops


def evaluated(shops: Shops, cursor: str | None) -> tuple[dict[str, dg.AssetCheckEvaluation], str]:
    """Evaluate the sensor once; return the results by shop, and the cursor."""
    sensor = shops.defs.resolve_sensor_def("sync_lateness")
    result = sensor.evaluate_tick(dg.build_sensor_context(instance=shops.instance, cursor=cursor))
    events: Any = result.asset_events
    assert all(event.asset_check_key == ON_TIME for event in events)
    return {event.partition: event for event in events}, str(result.cursor)


def aged(cursor: str, shop: str, hours: float) -> str:
    """Move what the sensor knows of a shop into the past."""
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

    assert shops.check_results() == [("fr", "FAILED", 1)]

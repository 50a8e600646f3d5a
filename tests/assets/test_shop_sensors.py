"""Sensors with several shops: each shop has its own cursor, and one that fails does not stop the others."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any

import dagster as dg
import duckdb
import pytest

from assets import shop_sensors
from assets.delivery_sensors import delivery_sensor
from assets.sensors import event_sensors
from assets.shop_sensors import Cursors
from pipelines.errors import RivoError
from pipelines.settings import Settings
from sandbox import Event
from tests.harness.dagster_shops import SHOPS, Shops
from tests.harness.deliveries import keep


class Ticks:
    """A sensor and its cursor between ticks."""

    def __init__(self, shops: Shops, sensor: dg.SensorDefinition) -> None:
        self.shops = shops
        self.sensor = sensor
        self.cursor: str | None = None
        self.skipped = ""

    def tick(self) -> Any:
        """Evaluate the sensor once."""
        data = self.sensor.evaluate_tick(
            dg.build_sensor_context(
                instance=self.shops.instance, cursor=self.cursor, definitions=self.shops.defs
            )
        )
        self.cursor = data.cursor or self.cursor
        self.skipped = data.skip_message or ""
        return data

    def events(self) -> dict[str, dict[str, Any]]:
        """Evaluate the sensor once, and return the metadata of its materializations by partition."""
        return {
            event.partition: {name: value.value for name, value in event.metadata.items()}
            for event in self.tick().asset_events
        }

    @property
    def known(self) -> dict[str, str]:
        """The cursor of each shop."""
        return dict(Cursors.read(self.cursor).by_shop)


def ticks(shops: Shops, name: str) -> Ticks:
    return Ticks(shops, shops.defs.resolve_sensor_def(name))


@pytest.mark.parametrize("name", ["points_earned", "points_redeemed"])
def test_sensor_reports_the_events_of_each_shop_once(shops: Shops, name: str) -> None:
    sensor = ticks(shops, name)
    sensor.events()
    shops.servers["de"].now += timedelta(days=30)
    shops.servers["fr"].now += timedelta(days=60)

    found = sensor.events()

    assert set(found) == set(SHOPS)
    assert 0 < found["de"]["events"] < found["fr"]["events"]
    assert sensor.events() == {}
    assert sensor.skipped == "de, fr: No new rows."


def test_tier_changes_of_a_shop_are_those_that_its_own_syncs_found(shops: Shops) -> None:
    sensor = ticks(shops, "vip_tier_changed")
    sensor.events()
    known = {shop: json.loads(cursor) for shop, cursor in sensor.known.items()}
    assert set(known) == set(SHOPS)
    # As before the last sync of fr, which found some.
    with duckdb.connect(str(shops.warehouse("fr").path), read_only=True) as connection:
        [[moves, since]] = connection.execute(
            "select count(*), max(changed_after) from marts.fct_tier_change "
            "where changed_by = (select max(changed_by) from marts.fct_tier_change)"
        ).fetchall()
    known["fr"]["observed_at"] = since.isoformat()
    sensor.cursor = json.dumps({"shops": {shop: json.dumps(each) for shop, each in known.items()}})

    found = sensor.events()

    assert set(found) == {"fr"}
    assert found["fr"]["moves_found_by_sync"] == moves > 0


def test_failing_shop_keeps_its_cursor_and_does_not_stop_the_others(shops: Shops) -> None:
    sensor = ticks(shops, "points_earned")
    sensor.events()
    before = sensor.known
    shops.wait(10)
    shops.servers["de"].faults = ["http_401"]

    assert set(sensor.events()) == {"fr"}
    assert sensor.known["de"] == before["de"]
    assert sensor.known["fr"] != before["fr"]
    assert sensor.events() == {}
    assert "de: Rivo refused the key (401)" in sensor.skipped
    shops.servers["de"].faults = []
    assert set(sensor.events()) == {"de"}
    assert sensor.known["de"] == sensor.known["fr"]


def test_tick_fails_if_all_shops_fail(shops: Shops) -> None:
    sensor = ticks(shops, "points_earned")
    for server in shops.servers.values():
        server.faults = ["http_401"]

    with pytest.raises(RivoError, match=r"de: Rivo refused the key.* fr: Rivo refused the key"):
        sensor.tick()


def test_tick_without_time_for_all_shops_is_continued_by_the_next(
    shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = ticks(shops, "points_earned")
    clock = itertools.count(step=shop_sensors.TICK_SECONDS * 3 // 4)
    monkeypatch.setattr(shop_sensors.time, "monotonic", lambda: next(clock))

    sensor.tick()
    assert set(sensor.known) == {"de"}
    sensor.tick()
    assert set(sensor.known) == {"de", "fr"}


def some_id(shops: Shops, shop: str) -> int:
    """Return the id of a points event in a shop's warehouse."""
    with duckdb.connect(str(shops.warehouse(shop).path), read_only=True) as connection:
        [[found]] = connection.execute("select max(id) from rivo_raw.points_events").fetchall()
    return int(found)


def without_row(shops: Shops, shop: str, row_id: int) -> None:
    with duckdb.connect(str(shops.warehouse(shop).path)) as connection:
        connection.execute("delete from rivo_raw.points_events where id = ?", [row_id])


def test_cursor_from_before_several_shops_is_that_of_the_shop_with_its_rows(shops: Shops) -> None:
    last = some_id(shops, "fr")
    without_row(shops, "de", last)
    sensor = ticks(shops, "points_earned")
    sensor.cursor = str(last)
    shops.servers["fr"].faults = ["http_401"]

    sensor.tick()

    assert set(sensor.known) == {"de"}
    assert Cursors.read(sensor.cursor).of_one == str(last), "kept until its shop can be asked"
    shops.servers["fr"].faults = []
    shops.wait(10)
    found = sensor.events()
    assert found["fr"]["since_id"] == last
    assert Cursors.read(sensor.cursor).of_one is None


def test_cursor_of_several_shops_serves_the_one_that_is_left(
    shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = some_id(shops, "fr")
    sensor = ticks(shops, "points_earned")
    sensor.cursor = json.dumps({"shops": {"de": "1", "fr": str(last)}})
    server = shops.servers["fr"]
    monkeypatch.setenv("RIVO_SHOPS", "")
    for shop in SHOPS:
        for setting in ("API_KEY", "API_URL"):
            monkeypatch.delenv(f"RIVO_SHOP_{shop.upper()}_{setting}")
    monkeypatch.setenv("RIVO_WAREHOUSE", str(shops.warehouse("fr").path))
    monkeypatch.setenv("RIVO_API_KEY", server.key)
    monkeypatch.setenv("RIVO_API_URL", server.url)
    shops.wait(10)

    [event] = sensor.tick().asset_events

    assert event.partition is None
    assert event.metadata["since_id"].value == last
    assert int(str(sensor.cursor)) > last


def test_shop_without_webhooks_is_asked_as_rarely_as_before(
    shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVO_SHOP_DE_WEBHOOK_SECRET", "whsec-0123456789abcdef")
    [earned, *_] = event_sensors(Settings.load())
    assert earned.minimum_interval_seconds == 3
    sensor = Ticks(shops, earned)
    sensor.tick()
    asked = [len(server.requests) for server in shops.servers.values()]
    assert all(asked)

    sensor.tick()

    assert [len(server.requests) for server in shops.servers.values()] == asked
    known = json.loads(str(sensor.cursor))
    assert set(known["looked_at"]) == {"fr"}


@pytest.mark.parametrize("cursor", [None, "7"])
def test_deliveries_of_each_shop_run_the_job_for_it(
    shops: Shops, monkeypatch: pytest.MonkeyPatch, cursor: str | None
) -> None:
    monkeypatch.setenv("RIVO_WEBHOOK_SECRET", "whsec-0123456789abcdef")
    job = shops.defs.resolve_job_def("apply_actions")
    sensor = Ticks(shops, delivery_sensor("own", job, "customer_vip_tier/", lambda _: {"ops": {}}))
    sensor.cursor = cursor
    assert not sensor.tick().run_requests

    body = {"id": 1, "customer": {"id": 7_198_630_248_648}, "vip_tier_id": 1}
    for shop, times in (("fr", 2), ("de", 1)):
        events = [Event("customer_vip_tier/upgraded", body, f"w-{n}") for n in range(times)]
        keep(shops.warehouse(shop).path, Settings.load().of_shop(shop), events)

    assert [request.partition_key for request in sensor.tick().run_requests] == ["de", "fr"]
    assert not sensor.tick().run_requests
    assert sensor.known == {"de": "1", "fr": "2"}

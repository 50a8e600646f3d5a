"""The sensors with webhooks: they report at once, each change once, and send no more requests than before."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.sensors import event_sensors
from pipelines.settings import Settings
from sandbox import Event
from sandbox.webhooks import events_between
from tests.assets.test_sensors import NAMES, Ticks
from tests.harness.dagster import DagsterStore
from tests.harness.deliveries import keep
from tests.harness.settings import make_settings

SECRET = "whsec-0123456789abcdef"


@pytest.fixture(autouse=True)
def secret(store: DagsterStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_WEBHOOK_SECRET", SECRET)


def announce(store: DagsterStore, *events: Event) -> None:
    keep(store.path, Settings.load(), events)


def tier_events(store: DagsterStore, days: float) -> list[Event]:
    """Return the tier changes of the next days, one for each customer: the last."""
    events = events_between(store.program, store.now, store.now + timedelta(days=days))
    found = [event for event in events if event.topic.startswith("customer_vip_tier/")]
    return list({event.body["customer"]["id"]: event for event in found}.values())


def points(topic: str = "points_event/created", id: str = "w-points") -> Event:
    return Event(topic, {"id": 1, "customer": {"id": 7_198_630_248_648, "email": "ada@shop.example"}}, id)


def started(store: DagsterStore, name: str) -> Ticks:
    """Return a sensor after its first tick, which sends requests."""
    ticks = Ticks(store, name)
    ticks.evaluate()
    store.server.requests.clear()
    return ticks


def metadata(ticks: Ticks) -> dict[str, Any]:
    found = ticks.evaluate()
    assert isinstance(found, dict), found
    return found


def test_sensors_run_every_few_seconds_with_webhooks_only() -> None:
    def intervals(settings: Settings) -> set[int | None]:
        return {sensor.minimum_interval_seconds for sensor in event_sensors(settings)}

    assert intervals(make_settings(webhook_secret=None)) == {300}
    assert intervals(make_settings(webhook_secret=SECRET)) == {3}


def test_tier_delivery_is_reported_at_once_by_ids_and_without_requests(store: DagsterStore) -> None:
    ticks = started(store, "vip_tier_changed")
    event, *_ = tier_events(store, 20)
    announce(store, event)

    found = metadata(ticks)

    assert (found["changes_announced"], found[f"announced_{event.topic.split('/')[1]}"]) == (1, 1)
    [customer] = found["customers"]
    assert customer["customer_id"] == event.body["customer"]["id"]
    assert customer["vip_tier_id"] == event.body["vip_tier_id"]
    assert event.body["customer"]["email"] not in str(found)
    assert store.server.requests == []
    assert ticks.evaluate() == "No webhook has arrived."
    announce(store, event)
    assert ticks.evaluate() == "No webhook has arrived.", "a repeated delivery is no news"


def test_tier_delivery_is_reported_while_a_sync_is_running(store: DagsterStore) -> None:
    ticks = started(store, "vip_tier_changed")
    announce(store, *tier_events(store, 20)[:2])

    with store.warehouse.build():
        assert metadata(ticks)["changes_announced"] == 2
        assert "A sync is using the rate limit" in str(Ticks(store, "vip_tier_changed").evaluate())


def test_change_that_a_webhook_announced_is_not_reported_again_by_the_sync(store: DagsterStore) -> None:
    ticks = started(store, "vip_tier_changed")
    known, missed = tier_events(store, 20)[:-1], tier_events(store, 20)[-1]
    announce(store, *known)
    assert metadata(ticks)["changes_announced"] == len(known)
    store.wait(20)
    store.selection = "+fct_tier_change"
    store.sync("vip_tiers", "customers", models=True)
    [[latest]] = store.query("select max(changed_by) from marts.fct_tier_change")
    moves = store.query("select customer_id from marts.fct_tier_change where changed_by = ?", latest)
    announced = {event.body["customer"]["id"] for event in known}
    others = [customer for (customer,) in moves if customer not in announced]
    assert missed.body["customer"]["id"] in others
    assert len(others) < len(moves)

    assert ticks.evaluate() == "No webhook has arrived.", "not due yet"
    found = metadata(due(ticks))

    assert found["moves_found_by_sync"] == len(others)
    assert found["changes_announced"] == 0
    again = due(ticks).evaluate()
    assert isinstance(again, str) or again["moves_found_by_sync"] == 0


def due(ticks: Ticks) -> Ticks:
    """Move a sensor's last requests five minutes into the past."""
    known = json.loads(str(ticks.cursor))
    known["polled_at"] = (datetime.fromisoformat(known["polled_at"]) - timedelta(minutes=5)).isoformat()
    ticks.cursor = json.dumps(known)
    return ticks


@pytest.mark.parametrize(
    ("name", "topic"),
    [("points_earned", "points_event/created"), ("points_redeemed", "points_redemption/created")],
)
def test_points_delivery_makes_the_sensor_ask_rivo_at_once(
    store: DagsterStore, name: str, topic: str
) -> None:
    ticks = started(store, name)
    store.wait(10)
    assert ticks.evaluate() == "No webhook has arrived."
    assert store.server.requests == []

    announce(store, points(topic), points("referral/completed", "w-other"))
    found = metadata(ticks)

    assert found["deliveries"] == 1
    assert found["events"] > 1, "what Rivo lists counts, not the body"
    assert len(store.server.requests) == found["requests"] <= 2
    assert ticks.evaluate() == "No webhook has arrived."


@pytest.mark.parametrize("name", NAMES)
def test_sensor_asks_rivo_every_five_minutes_without_a_delivery(store: DagsterStore, name: str) -> None:
    ticks = started(store, name)
    assert ticks.evaluate() == "No webhook has arrived."
    assert store.server.requests == []

    due(ticks).evaluate()

    assert store.server.requests


def test_delivery_waits_for_the_sync_that_uses_the_rate_limit(store: DagsterStore) -> None:
    ticks = started(store, "points_earned")
    store.wait(10)
    announce(store, points())
    with store.warehouse.build():
        assert "A sync is using the rate limit" in str(ticks.evaluate())

    assert metadata(ticks)["deliveries"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_cursor_from_before_webhooks_keeps_working_and_back(
    store: DagsterStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RIVO_WEBHOOK_SECRET")
    ticks = started(store, name)
    before = ticks.cursor
    monkeypatch.setenv("RIVO_WEBHOOK_SECRET", SECRET)
    announce(store, *tier_events(store, 20)[:1], points(), points("points_redemption/created", "w-2"))

    found = ticks.evaluate()

    assert isinstance(found, str), "deliveries from before are not reported"
    assert json.loads(str(ticks.cursor))["position"] == 3
    monkeypatch.delenv("RIVO_WEBHOOK_SECRET")
    ticks.evaluate()
    assert before is not None
    assert ticks.cursor == before


def test_deliveries_after_the_journal_was_deleted_are_reported(store: DagsterStore) -> None:
    announce(store, points(id="w-1"), points(id="w-2"))
    ticks = started(store, "vip_tier_changed")
    for file in Path(store.folder).glob("rivo.webhooks.sqlite*"):
        file.unlink()
    announce(store, tier_events(store, 20)[0])

    assert metadata(ticks)["changes_announced"] == 1


def test_reward_of_an_announced_upgrade_is_not_reported_again(store: DagsterStore) -> None:
    ticks = started(store, "vip_tier_changed")
    event, other, *_ = tier_events(store, 20)
    announce(store, event)
    assert metadata(ticks)["changes_announced"] == 1
    for each in (event, other):
        row = {
            "customer": {"id": each.body["customer"]["id"]},
            "points_diff": 100,
            "source": "vip_tier_upgrade",
        }
        store.program.insert("points_events", row, at=store.now)

    found = metadata(due(ticks))

    assert found["upgrades_rewarded_since"] == 1


def test_sensors_store_no_secret_and_no_address(store: DagsterStore) -> None:
    ticks = started(store, "vip_tier_changed")
    announce(store, *tier_events(store, 20))
    data = ticks.sensor.evaluate_tick(dg.build_sensor_context(instance=store.instance, cursor=ticks.cursor))

    assert data.asset_events
    assert "@" not in str(data)
    assert SECRET not in str(data)

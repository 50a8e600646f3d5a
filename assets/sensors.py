"""Sensors for the three events of Rivo's automation integrations. You can trigger jobs from them; off by default.

Each sensor requests the new rows with one or two requests, loads them into the recent-events file beside the warehouse,
and records one materialization of an asset with the counts as metadata. The warehouse itself is not changed, and the
next sync reads the same rows again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import dagster as dg

from assets.keys import relation_key
from pipelines.load.recent_events import MOST_PAGES, largest_id
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from runs.recent_events import (
    POINTS_EARNED,
    POINTS_REDEEMED,
    TIER_REWARDED,
    RecentEvents,
    Trigger,
    recent_events,
    tier_changes,
)
from runs.shop import shop_to_sync
from runs.waiting import is_applying

GROUP = "rivo_events"
_EVERY_SECONDS = 300
_MOST_IDS = 50
"""Most row ids in the metadata of a materialization."""

_DESCRIPTIONS = {
    "points_earned": "Members earned points or credits: points events after the last one reported.",
    "points_redeemed": "Members redeemed points or credits: redemptions after the last one reported.",
    "vip_tier_changed": (
        "Members moved between tiers. Rivo keeps no log of tier changes, so they are reported after each sync. Between "
        "two syncs, only upgrades that Rivo rewards with points can be seen."
    ),
}
_DEPS = {
    "points_earned": [dg.AssetKey(["rivo", "points_events"])],
    "points_redeemed": [dg.AssetKey(["rivo", "points_redemptions"])],
    "vip_tier_changed": [dg.AssetKey(["rivo", "points_events"]), relation_key("marts.fct_tier_change")],
}


def event_key(name: str) -> dg.AssetKey:
    """Return the key of the asset that an event materializes, such as `rivo_events/points_earned`."""
    return dg.AssetKey([GROUP, name])


def event_specs() -> list[dg.AssetSpec]:
    """Return the specs of the events, which are external assets."""
    return [
        dg.AssetSpec(
            event_key(name),
            group_name=GROUP,
            kinds={"api"},
            deps=_DEPS[name],
            description=f"{description} The sensor `{name}` materializes this asset each time it finds new rows.",
        )
        for name, description in _DESCRIPTIONS.items()
    ]


def _sensor(
    name: str, evaluate: Callable[[Settings, Warehouse, str | None], dg.SensorResult]
) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        description=f"{_DESCRIPTIONS[name]} Sends at most {MOST_PAGES} requests every "
        f"{_EVERY_SECONDS // 60} minutes.",
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
    )
    def evaluate_tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settings = Settings.load()
        shop = shop_to_sync(settings)
        if shop.is_demo:
            return dg.SkipReason("RIVO_API_KEY is not set, and the demo has no events.")
        if not shop.warehouse.exists:
            return dg.SkipReason(
                f"There is no warehouse at {shop.warehouse} yet. Run a sync first: events after it are reported."
            )
        if shop.warehouse.is_being_built:
            return dg.SkipReason("A sync is using the rate limit; skipping this tick.")
        if is_applying(shop.warehouse):
            return dg.SkipReason("Actions are being applied and use the rate limit; skipping this tick.")
        if shop.warehouse.recent_events.is_being_built:
            return dg.SkipReason("Another sensor is writing the recent-events file; skipping this tick.")
        return evaluate(settings, shop.warehouse, context.cursor)

    return evaluate_tick


def _by_id(name: str, trigger: Trigger) -> Callable[[Settings, Warehouse, str | None], dg.SensorResult]:
    def evaluate(settings: Settings, warehouse: Warehouse, cursor: str | None) -> dg.SensorResult:
        since_id = int(cursor) if cursor else largest_id(warehouse, trigger.list)
        if since_id is None:
            return dg.SensorResult(skip_reason=f"{trigger.list} has not been synced yet.")
        found = recent_events(settings, warehouse, trigger, since_id)
        return _result(name, _metadata(found, since_id) if found.events else None, str(found.last_id))

    return evaluate


def _tier_changes(settings: Settings, warehouse: Warehouse, cursor: str | None) -> dg.SensorResult:
    known = json.loads(cursor) if cursor else {}
    since = datetime.fromisoformat(known["observed_at"]) if known.get("observed_at") else None
    since_id = known.get("since_id", largest_id(warehouse, TIER_REWARDED.list))
    if since_id is None:
        return dg.SensorResult(skip_reason=f"{TIER_REWARDED.list} has not been synced yet.")
    moved = tier_changes(warehouse, since)
    rewarded = recent_events(settings, warehouse, TIER_REWARDED, since_id)
    next_cursor = {
        "observed_at": moved.observed_at.isoformat() if moved.observed_at else None,
        "since_id": rewarded.last_id,
    }
    metadata = None
    if moved.moves or rewarded.events:
        metadata = {
            "moves_found_by_sync": sum(moved.moves.values()),
            **{f"{direction}s": count for direction, count in moved.moves.items()},
            "upgrades_rewarded_since": rewarded.events,
            **_metadata(rewarded, since_id),
        }
    return _result("vip_tier_changed", metadata, json.dumps(next_cursor))


def _metadata(found: RecentEvents, since_id: int) -> dict[str, Any]:
    return {
        "events": found.events,
        "members": found.members,
        "points": found.points,
        "credits": float(found.credits),
        "requests": found.requests,
        "rows_loaded": found.rows_loaded,
        "since_id": since_id,
        "until_id": found.last_id,
        "has_more": found.has_more,
        "ids": dg.MetadataValue.json(list(found.ids[:_MOST_IDS])),
    }


def _result(name: str, metadata: dict[str, Any] | None, cursor: str) -> dg.SensorResult:
    if metadata is None:
        return dg.SensorResult(skip_reason="No new rows.", cursor=cursor)
    return dg.SensorResult(
        asset_events=[
            dg.AssetMaterialization(event_key(name), description=_DESCRIPTIONS[name], metadata=metadata)
        ],
        cursor=cursor,
    )


SENSORS = [
    _sensor("points_earned", _by_id("points_earned", POINTS_EARNED)),
    _sensor("points_redeemed", _by_id("points_redeemed", POINTS_REDEEMED)),
    _sensor("vip_tier_changed", _tier_changes),
]

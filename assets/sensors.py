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
from pipelines.load import recent_events
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from runs.shop import shop_to_sync

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
        description=f"{_DESCRIPTIONS[name]} Sends at most {recent_events.MOST_PAGES} requests every "
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
        if shop.warehouse.recent_events.is_being_built:
            return dg.SkipReason("Another sensor is writing the recent-events file; skipping this tick.")
        return evaluate(settings, shop.warehouse, context.cursor)

    return evaluate_tick


def _by_id(
    name: str, table: str, ask: Callable[[Settings, Warehouse, int], recent_events.News]
) -> Callable[[Settings, Warehouse, str | None], dg.SensorResult]:
    def evaluate(settings: Settings, warehouse: Warehouse, cursor: str | None) -> dg.SensorResult:
        since_id = int(cursor) if cursor else recent_events.largest_id(warehouse, table)
        if since_id is None:
            return dg.SensorResult(skip_reason=f"{table} has not been synced yet.")
        found = ask(settings, warehouse, since_id)
        return _result(name, _metadata(found, since_id) if found.rows else None, str(found.last_id))

    return evaluate


def _tier_changes(settings: Settings, warehouse: Warehouse, cursor: str | None) -> dg.SensorResult:
    known = json.loads(cursor) if cursor else {}
    since = datetime.fromisoformat(known["observed_at"]) if known.get("observed_at") else None
    since_id = known.get("since_id", recent_events.largest_id(warehouse, "points_events"))
    if since_id is None:
        return dg.SensorResult(skip_reason="points_events has not been synced yet.")
    moved = recent_events.tiers_changed(warehouse, since)
    rewarded = recent_events.tiers_rewarded(settings, warehouse, since_id)
    next_cursor = {
        "observed_at": moved.observed_at.isoformat() if moved.observed_at else None,
        "since_id": rewarded.last_id,
    }
    metadata = None
    if moved.moves or rewarded.rows:
        metadata = {
            "moves_found_by_sync": sum(moved.moves.values()),
            **{f"{direction}s": count for direction, count in moved.moves.items()},
            "upgrades_rewarded_since": rewarded.rows,
            **_metadata(rewarded, since_id),
        }
    return _result("vip_tier_changed", metadata, json.dumps(next_cursor))


def _metadata(found: recent_events.News, since_id: int) -> dict[str, Any]:
    return {
        "events": found.rows,
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
    _sensor("points_earned", _by_id("points_earned", "points_events", recent_events.points_earned)),
    _sensor(
        "points_redeemed", _by_id("points_redeemed", "points_redemptions", recent_events.points_redeemed)
    ),
    _sensor("vip_tier_changed", _tier_changes),
]

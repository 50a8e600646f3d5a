"""The three events of Rivo's automation integrations as sensors, for others to hang jobs on. Off by default.

Each asks with one or two requests for what is new, loads just that into the news file beside the warehouse, and
records one materialization of an asset that carries the counts. The warehouse itself is not touched: the next sync
misses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import dagster as dg

from assets.keys import relation_key
from pipelines.load import recent_events as news
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from runs.shop import shop_to_sync

GROUP = "rivo_events"
_EVERY_SECONDS = 300
_MOST_IDS = 50

_DESCRIPTIONS = {
    "points_earned": "Points or credits were given: events behind the last one that was told.",
    "points_redeemed": "Members redeemed: redemptions behind the last one that was told.",
    "vip_tier_changed": (
        "Members moved between tiers. Rivo keeps no log of tiers, so moves are told after each sync; between two "
        "syncs only upgrades that Rivo rewards with points are seen."
    ),
}
_DEPS = {
    "points_earned": [dg.AssetKey(["rivo", "points_events"])],
    "points_redeemed": [dg.AssetKey(["rivo", "points_redemptions"])],
    "vip_tier_changed": [dg.AssetKey(["rivo", "points_events"]), relation_key("marts.fct_tier_change")],
}


def event_key(name: str) -> dg.AssetKey:
    """Key of the asset that is materialized when an event happened: `rivo_events/points_earned`."""
    return dg.AssetKey([GROUP, name])


def event_specs() -> list[dg.AssetSpec]:
    """The three events as external assets."""
    return [
        dg.AssetSpec(
            event_key(name),
            group_name=GROUP,
            kinds={"api"},
            deps=_DEPS[name],
            description=f"{description} Materialized by the sensor `{name}`, once a look that found something.",
        )
        for name, description in _DESCRIPTIONS.items()
    ]


def _sensor(
    name: str, evaluate: Callable[[Settings, Warehouse, str | None], dg.SensorResult]
) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        description=_DESCRIPTIONS[name] + " Asks with at most two requests every five minutes.",
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settings = Settings.load()
        where = shop_to_sync(settings)
        if where.is_demo:
            return dg.SkipReason("RIVO_API_KEY is not set: a demo has no events to look for.")
        if not where.warehouse.exists:
            return dg.SkipReason(
                f"There is no warehouse at {where.warehouse} yet. Sync once, then events are told."
            )
        if where.warehouse.is_being_built:
            return dg.SkipReason("A sync is at work, which has the requests for itself. Asking again later.")
        if where.warehouse.recent_events.is_being_built:
            return dg.SkipReason("Another sensor is loading what it found. Asking again later.")
        return evaluate(settings, where.warehouse, context.cursor)

    return look


def _by_id(
    name: str, table: str, ask: Callable[[Settings, Warehouse, int], news.News]
) -> Callable[[Settings, Warehouse, str | None], dg.SensorResult]:
    def evaluate(settings: Settings, warehouse: Warehouse, cursor: str | None) -> dg.SensorResult:
        since_id = int(cursor) if cursor else news.largest_id(warehouse, table)
        if since_id is None:
            return dg.SensorResult(skip_reason=f"{table} was never synced yet.")
        found = ask(settings, warehouse, since_id)
        return _told(name, _figures(found, since_id) if found.rows else None, str(found.last_id))

    return evaluate


def _tiers(settings: Settings, warehouse: Warehouse, cursor: str | None) -> dg.SensorResult:
    known = json.loads(cursor) if cursor else {}
    since = datetime.fromisoformat(known["observed_at"]) if known.get("observed_at") else None
    since_id = known.get("since_id", news.largest_id(warehouse, "points_events"))
    if since_id is None:
        return dg.SensorResult(skip_reason="points_events was never synced yet.")
    moved = news.tiers_changed(warehouse, since)
    rewarded = news.tiers_rewarded(settings, warehouse, since_id)
    told = {
        "observed_at": moved.observed_at.isoformat() if moved.observed_at else None,
        "since_id": rewarded.last_id,
    }
    figures = None
    if moved.moves or rewarded.rows:
        figures = {
            "moves_found_by_sync": sum(moved.moves.values()),
            **{f"{direction}s": count for direction, count in moved.moves.items()},
            "upgrades_rewarded_since": rewarded.rows,
            **_figures(rewarded, since_id),
        }
    return _told("vip_tier_changed", figures, json.dumps(told))


def _figures(found: news.News, since_id: int) -> dict[str, Any]:
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


def _told(name: str, figures: dict[str, Any] | None, cursor: str) -> dg.SensorResult:
    if figures is None:
        return dg.SensorResult(skip_reason="Nothing new.", cursor=cursor)
    return dg.SensorResult(
        asset_events=[
            dg.AssetMaterialization(event_key(name), description=_DESCRIPTIONS[name], metadata=figures)
        ],
        cursor=cursor,
    )


SENSORS = [
    _sensor("points_earned", _by_id("points_earned", "points_events", news.points_earned)),
    _sensor("points_redeemed", _by_id("points_redeemed", "points_redemptions", news.points_redeemed)),
    _sensor("vip_tier_changed", _tiers),
]

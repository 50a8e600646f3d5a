"""Sensors for the three events of Rivo's automation integrations. You can trigger jobs from them; off by default.

Each sensor requests the new rows with one or two requests, loads them into the recent-events file beside the warehouse,
and records one materialization of an asset with the counts as metadata. The warehouse itself is not changed, and the
next sync reads the same rows again.

With webhooks, a sensor looks into the journal of deliveries every few seconds. A delivery about points makes it send
its requests at once; a delivery about a VIP tier is reported as it is. Requests without a delivery stay as rare as
without webhooks.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from assets.delivery_sensors import EVERY_SECONDS
from assets.keys import relation_key
from assets.shop_sensors import Evaluate, evaluate_shops
from pipelines.load.recent_events import MOST_PAGES, has_row, largest_id
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from pipelines.webhooks.deliveries import Arrived, arrived, last_position
from runs.recent_events import (
    POINTS_EARNED,
    POINTS_REDEEMED,
    TIER_REWARDED,
    RecentEvents,
    TierMove,
    Trigger,
    recent_events,
    tier_changes,
)
from runs.shop import shop_to_read, shop_to_sync
from runs.waiting import is_applying

GROUP = "rivo_events"
_EVERY_SECONDS = 300
_TIER_TOPICS = "customer_vip_tier/"
_MOST_IDS = 50
"""Most row ids in the metadata of a materialization."""

_DESCRIPTIONS = {
    "points_earned": "Members earned points or credits: points events after the last one reported.",
    "points_redeemed": "Members redeemed points or credits: redemptions after the last one reported.",
    "vip_tier_changed": (
        "Members moved between tiers. Rivo keeps no log of tier changes, so they are reported after each sync. Between "
        "two syncs, only upgrades that Rivo rewards with points can be seen, or all changes with webhooks."
    ),
}
_LISTS = {
    "points_earned": "points_events",
    "points_redeemed": "points_redemptions",
    "vip_tier_changed": "points_events",
}
"""The list whose ids are in the cursor of a sensor."""
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


@dataclass(frozen=True)
class _Tick:
    """What a sensor knows at the beginning of a tick."""

    settings: Settings
    warehouse: Warehouse
    partition: str | None
    """The shop's partition; None with one shop."""
    known: dict[str, Any]
    """The cursor that the last tick left."""
    now: datetime
    obstacle: str | None
    """Why no request may be sent now."""
    first_position: int = 0
    """Position in the journal of deliveries at which this sensor began; those after it are reported."""
    position: int = 0
    """Position up to which deliveries have been reported."""
    latest: int = 0
    """Position of the last delivery, of any topic, when the tick began."""

    @classmethod
    def of(cls, settings: Settings, warehouse: Warehouse, cursor: str | None, partition: str | None) -> _Tick:
        """Return the beginning of a tick."""
        tick = cls(settings, warehouse, partition, _known(cursor), datetime.now(UTC), _obstacle(warehouse))
        if not tick.uses_webhooks:
            return tick
        latest = last_position(warehouse)
        known = tick.known
        first, reported = known.get("first_position", latest), known.get("position", latest)
        # The positions of a journal that was deleted begin at 1 again.
        first, reported = (first, reported) if reported <= latest else (0, 0)
        return replace(tick, first_position=first, position=reported, latest=latest)

    @property
    def uses_webhooks(self) -> bool:
        """Whether deliveries of webhooks are expected."""
        return bool(self.settings.webhook_secrets)

    @property
    def is_due(self) -> bool:
        """Whether requests are due even if no delivery has arrived."""
        if not self.uses_webhooks or not self.known.get("polled_at"):
            return True
        elapsed = self.now - datetime.fromisoformat(self.known["polled_at"])
        return not timedelta(0) <= elapsed < timedelta(seconds=_EVERY_SECONDS)

    def arrived(self, prefix: str, after: int) -> list[Arrived]:
        """Return the deliveries about a subject after a position."""
        return arrived(self.warehouse, prefix, after) if self.uses_webhooks else []

    def next_position(self, new: Sequence[Arrived] = ()) -> dict[str, int]:
        """Return the part of the next cursor that says which deliveries have been reported, `new` among them."""
        if not self.uses_webhooks:
            return {}
        position = max([self.latest, *(each.position for each in new)])
        return {"first_position": self.first_position, "position": position}

    def quiet(self) -> dg.SensorResult:
        """Return the result of a tick with nothing to do."""
        cursor = {**self.known, **self.next_position()}
        return dg.SensorResult(skip_reason="No webhook has arrived.", cursor=json.dumps(cursor))


_Look = Callable[[_Tick], dg.SensorResult | dg.SkipReason]


def _known(cursor: str | None) -> dict[str, Any]:
    known = json.loads(cursor) if cursor else {}
    # A cursor without webhooks is the last id alone.
    return {"since_id": known} if isinstance(known, int) else known


def event_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Return the sensors. Their interval is a few seconds if RIVO_WEBHOOK_SECRET is set, else five minutes."""
    return [
        _sensor("points_earned", _by_id("points_earned", POINTS_EARNED, "points_event/"), settings),
        _sensor(
            "points_redeemed", _by_id("points_redeemed", POINTS_REDEEMED, "points_redemption/"), settings
        ),
        _sensor("vip_tier_changed", _tier_changes, settings),
    ]


def _sensor(name: str, look: _Look, settings: Settings) -> dg.SensorDefinition:
    has_webhooks = any(settings.of_shop(shop).webhook_secrets for shop in settings.shop_names or ("",))
    at_once = " At once when a webhook has arrived." if has_webhooks else ""

    @dg.sensor(
        name=name,
        description=f"{_DESCRIPTIONS[name]} Sends at most {MOST_PAGES} requests every "
        f"{_EVERY_SECONDS // 60} minutes.{at_once}",
        minimum_interval_seconds=EVERY_SECONDS if has_webhooks else _EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
    )
    def evaluate_tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return evaluate_shops(
            context,
            _evaluate(look),
            belongs=lambda shop, cursor: _belongs(shop, _LISTS[name], cursor),
            # Of a shop without webhooks, if others have them: those make the sensor tick every few seconds.
            seconds_between=lambda shop: _EVERY_SECONDS if has_webhooks and not shop.webhook_secrets else 0,
        )

    return evaluate_tick


def _evaluate(look: _Look) -> Evaluate:
    def evaluate(
        settings: Settings, cursor: str | None, partition: str | None
    ) -> dg.SensorResult | dg.SkipReason:
        shop = shop_to_sync(settings)
        if shop.is_demo:
            return dg.SkipReason(f"{settings.variable('api_key')} is not set, and the demo has no events.")
        if not shop.warehouse.exists:
            return dg.SkipReason(
                f"There is no warehouse at {shop.warehouse} yet. Run a sync first: events after it are reported."
            )
        return look(_Tick.of(settings, shop.warehouse, cursor, partition))

    return evaluate


def _belongs(settings: Settings, name: str, cursor: str) -> bool:
    """Return whether the last row that a cursor names is in a shop's warehouse."""
    warehouse, since_id = shop_to_read(settings).warehouse, _known(cursor).get("since_id")
    return since_id is not None and warehouse.exists and has_row(warehouse, name, since_id)


def _obstacle(warehouse: Warehouse) -> str | None:
    if warehouse.is_being_built:
        return "A sync is using the rate limit; skipping this tick."
    if is_applying(warehouse):
        return "Actions are being applied and use the rate limit; skipping this tick."
    if warehouse.recent_events.is_being_built:
        return "Another sensor is writing the recent-events file; skipping this tick."
    return None


def _by_id(name: str, trigger: Trigger, prefix: str) -> _Look:
    def evaluate(tick: _Tick) -> dg.SensorResult | dg.SkipReason:
        new = tick.arrived(prefix, tick.position)
        if not new and not tick.is_due:
            return tick.quiet()
        if tick.obstacle:
            return dg.SkipReason(tick.obstacle)
        since_id = tick.known.get("since_id")
        since_id = largest_id(tick.warehouse, trigger.list) if since_id is None else since_id
        if since_id is None:
            return dg.SensorResult(skip_reason=f"{trigger.list} has not been synced yet.")
        found = recent_events(tick.settings, tick.warehouse, trigger, since_id)
        metadata = _metadata(found, since_id) if found.events else None
        if metadata and tick.uses_webhooks:
            metadata["deliveries"] = len(new)
        cursor = _polled(tick, {"since_id": found.last_id, **tick.next_position(new)}, found.has_more)
        return _result(tick, name, metadata, json.dumps(cursor) if tick.uses_webhooks else str(found.last_id))

    return evaluate


def _polled(tick: _Tick, cursor: dict[str, Any], has_more: bool) -> dict[str, Any]:
    """Add the time of the requests to a cursor; if there are more rows, the next tick sends requests again."""
    return cursor if has_more or not tick.uses_webhooks else {**cursor, "polled_at": tick.now.isoformat()}


def _tier_changes(tick: _Tick) -> dg.SensorResult | dg.SkipReason:
    new = tick.arrived(_TIER_TOPICS, tick.position)
    if tick.obstacle or not tick.is_due:
        # What webhooks announce needs no request.
        if not new:
            return dg.SkipReason(tick.obstacle) if tick.obstacle else tick.quiet()
        cursor = {**tick.known, **tick.next_position(new)}
        nothing_else = {"moves_found_by_sync": 0, "upgrades_rewarded_since": 0}
        return _result(tick, "vip_tier_changed", {**nothing_else, **_announced(new)}, json.dumps(cursor))
    known = tick.known
    since = datetime.fromisoformat(known["observed_at"]) if known.get("observed_at") else None
    since_id = known.get("since_id", largest_id(tick.warehouse, TIER_REWARDED.list))
    if since_id is None:
        return dg.SensorResult(skip_reason=f"{TIER_REWARDED.list} has not been synced yet.")
    deliveries = tick.arrived(_TIER_TOPICS, tick.first_position)
    found = tier_changes(tick.warehouse, since)
    moves = [move for move in found.moves if not _is_announced(move, deliveries)]
    rewarded = recent_events(tick.settings, tick.warehouse, _without(TIER_REWARDED, deliveries), since_id)
    observed_at = found.observed_at.isoformat() if found.observed_at else None
    cursor = {"observed_at": observed_at, "since_id": rewarded.last_id, **tick.next_position(new)}
    metadata = None
    if moves or rewarded.events or new:
        directions = Counter(move.direction for move in moves)
        metadata = {
            "moves_found_by_sync": len(moves),
            **{f"{direction}s": directions[direction] for direction in sorted(directions)},
            "upgrades_rewarded_since": rewarded.events,
            **_metadata(rewarded, since_id),
            **(_announced(new) if tick.uses_webhooks else {}),
        }
    return _result(tick, "vip_tier_changed", metadata, json.dumps(_polled(tick, cursor, rewarded.has_more)))


def _is_announced(move: TierMove, deliveries: Sequence[Arrived]) -> bool:
    """Return whether a webhook announced a change that a sync has found, so that it was reported before."""
    return any(
        (each.customer_id, each.vip_tier_id) == (move.customer_id, move.to_tier_id)
        and datetime.fromisoformat(each.occurred_at) > move.changed_after
        for each in deliveries
    )


def _without(trigger: Trigger, deliveries: Sequence[Arrived]) -> Trigger:
    """Return a trigger without the customers of deliveries, whose changes have been reported."""
    ids = sorted({each.customer_id for each in deliveries if each.customer_id is not None})
    if not ids:
        return trigger
    others = f"coalesce(customer_id not in ({', '.join(map(str, ids))}), true)"
    return replace(trigger, condition=f"({trigger.condition}) and {others}")


def _announced(deliveries: Sequence[Arrived]) -> dict[str, Any]:
    """Return metadata about deliveries: counts, and ids of customers and tiers, never an address."""
    topics = Counter(str(each.topic).rpartition("/")[2] for each in deliveries)
    shown = [
        {
            "customer_id": each.customer_id,
            "vip_tier_id": each.vip_tier_id,
            "topic": each.topic,
            "occurred_at": each.occurred_at,
        }
        for each in deliveries[:_MOST_IDS]
    ]
    return {
        "changes_announced": len(deliveries),
        **{f"announced_{topic}": topics[topic] for topic in sorted(topics)},
        "customers": dg.MetadataValue.json(shown),
    }


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


def _result(tick: _Tick, name: str, metadata: dict[str, Any] | None, cursor: str) -> dg.SensorResult:
    if metadata is None:
        return dg.SensorResult(skip_reason="No new rows.", cursor=cursor)
    return dg.SensorResult(
        asset_events=[
            dg.AssetMaterialization(
                event_key(name),
                description=_DESCRIPTIONS[name],
                metadata=metadata,
                partition=tick.partition,
            )
        ],
        cursor=cursor,
    )

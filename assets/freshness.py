"""Freshness, computed from the schedule of syncs: a policy with one shop, a check for each of several.

Dagster's policies look at an asset as a whole, so that a shop that is never synced would be hidden by the others.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from typing import Any, Self

import dagster as dg

from assets.instance.private import check_target, cron_ticks, suppress_dagster_warnings
from assets.keys import PUBLISHED
from assets.schedule import SyncSchedule
from assets.shops import names_of_several, schedule_of, shop_of
from pipelines.settings import Settings

ON_TIME = dg.AssetCheckKey(PUBLISHED, "synced_on_time")
"""The check that a shop's warehouse was published lately."""

_WARN_AFTER = timedelta(hours=1)
_FAIL_AFTER = timedelta(hours=3)
_TICKS = 400
"""Number of ticks looked at: more than a year of daily syncs, which includes the day of 25 hours in autumn."""


@cache
def freshness_policy(cron: str, timezone: str) -> dg.FreshnessPolicy:
    """Return the policy: a warning one hour after the longest time between two syncs, a failure after three hours.

    With the default schedule, daily in UTC, a table turns yellow after 25 hours without a sync and red after 27. In a
    timezone with daylight saving time it is an hour more, since one day in autumn has 25 hours.
    """
    gap = longest_gap(cron, timezone)
    return dg.FreshnessPolicy.time_window(fail_window=gap + _FAIL_AFTER, warn_window=gap + _WARN_AFTER)


@cache
def longest_gap(cron: str, timezone: str) -> timedelta:
    """Return the longest time between two consecutive syncs."""
    ticks = islice(cron_ticks(datetime(2026, 1, 1, tzinfo=UTC), cron, timezone), _TICKS)
    return max(
        (later.astimezone(UTC) - earlier.astimezone(UTC) for earlier, later in pairwise(ticks)),
        default=timedelta(days=1),
    )


@dataclass(frozen=True)
class Lateness:
    """How long ago a shop was published, and whether that is too long by its schedule."""

    shop: str
    published_at: datetime | None
    since: datetime
    """When it was published; if it never was, when that was first found."""
    state: str
    """'on_time', 'late' after the first window, 'too_late' after the second."""

    @classmethod
    def of(
        cls, shop: str, schedule: SyncSchedule, published_at: datetime | None, since: datetime, now: datetime
    ) -> Self:
        """Return the lateness at a moment."""
        over = now - since - longest_gap(schedule.cron, schedule.timezone)
        state = "too_late" if over > _FAIL_AFTER else "late" if over > _WARN_AFTER else "on_time"
        return cls(shop, published_at, since, state)

    @property
    def passed(self) -> bool:
        """Whether a sync is not overdue."""
        return self.state == "on_time"

    @property
    def result(self) -> dict[str, Any]:
        """The arguments of Dagster's results of checks."""
        severity = dg.AssetCheckSeverity.WARN if self.state == "late" else dg.AssetCheckSeverity.ERROR
        return {"passed": self.passed, "severity": severity, "description": self._sentence}

    @property
    def _sentence(self) -> str:
        since = f"{self.since:%Y-%m-%d %H:%M} UTC"
        if self.published_at is None:
            return f"{self.shop} has not been published yet. Looked for since {since}."
        if self.passed:
            return f"{self.shop} was published on {since}."
        return (
            f"{self.shop} has not been published since {since}, which is longer than its schedule allows. Look for its "
            "last run in Runs."
        )


def freshness_checks(partitions: dg.PartitionsDefinition[str] | None) -> list[dg.AssetChecksDefinition]:
    """Return the check that each shop's warehouse was published lately; none with one shop, which has a policy."""
    return [_check(partitions)] if partitions else []


@suppress_dagster_warnings
def _check(partitions: dg.PartitionsDefinition[str]) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=PUBLISHED,
        name=ON_TIME.name,
        partitions_def=partitions,
        description="The shop's warehouse was published since its last syncs by RIVO_SYNC_CRON: warns one hour, fails "
        f"three hours after the longest time between two of them. The sensor {_SENSOR} evaluates it.",
    )
    def synced_on_time(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        shop = shop_of(context.run)
        now = datetime.now(UTC)
        event = _last(context.instance, shop)
        at = datetime.fromtimestamp(event.timestamp, UTC) if event else None
        late = Lateness.of(shop, schedule_of(Settings.load(), shop), at, at or now, now)
        return dg.AssetCheckResult(**late.result)

    return synced_on_time


_SENSOR = "sync_lateness"


def freshness_sensors(partitions: dg.PartitionsDefinition[str] | None) -> list[dg.SensorDefinition]:
    """Return the sensor that evaluates the check of each shop; none with one shop."""
    return [sync_lateness] if partitions else []


@dg.sensor(
    name=_SENSOR,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=f"Evaluates the check {ON_TIME.name} of published/warehouse for each shop that was published or has "
    "become late.",
)
def sync_lateness(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Report the shops that were published or have become late since the last tick."""
    settings, now = Settings.load(), datetime.now(UTC)
    names = names_of_several(settings)
    known: dict[str, Any] = json.loads(context.cursor or "{}")
    latest = context.instance.get_latest_storage_id_by_partition(
        PUBLISHED, dg.DagsterEventType.ASSET_MATERIALIZATION, set(names)
    )
    cursor, evaluations = {}, []
    for shop in names:
        before = known.get(shop, {"id": None, "at": now.timestamp(), "state": None})
        position, moment = latest.get(shop), before["at"]
        if is_new := position is not None and position != before["id"]:
            event = _last(context.instance, shop)
            moment = event.timestamp if event else moment
        since = datetime.fromtimestamp(moment, UTC)
        late = Lateness.of(shop, schedule_of(settings, shop), since if position else None, since, now)
        # A shop that waits for its first sync is neither late nor on time.
        state = late.state if position or not late.passed else None
        cursor[shop] = {"id": position, "at": moment, "state": state}
        if state and (is_new or state != before["state"]):
            evaluations.append(_evaluation(late, _last(context.instance, shop)))
    reason = None if evaluations else "No shop was published, or has become late."
    return dg.SensorResult(skip_reason=reason, cursor=json.dumps(cursor), asset_events=evaluations)


def _evaluation(late: Lateness, published: dg.EventLogRecord | None) -> dg.AssetCheckEvaluation:
    # Dagster shows a result only as long as it is about the last materialization.
    return dg.AssetCheckEvaluation(
        PUBLISHED,
        ON_TIME.name,
        partition=late.shop,
        target_materialization_data=check_target(published) if published else None,
        **late.result,
    )


def _last(instance: dg.DagsterInstance, shop: str) -> dg.EventLogRecord | None:
    """Return the last materialization of a shop's warehouse."""
    of_shop = dg.AssetRecordsFilter(PUBLISHED, asset_partitions=[shop])
    records = instance.fetch_materializations(of_shop, limit=1).records
    return records[0] if records else None

"""The times of the daily sync, as Dagster's daemon computes them from RIVO_SYNC_CRON and RIVO_TIMEZONE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class SyncSchedule:
    """The schedule of a cron expression in a time zone."""

    cron: str
    timezone: str

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after a moment, in UTC."""
        if quick := self._without_clock_change(moment, forward=True):
            return quick
        from assets.instance.private import cron_ticks

        ticks = cron_ticks(moment, self.cron, self.timezone)
        return next(tick for tick in ticks if tick > moment).astimezone(UTC)

    def last_before(self, moment: datetime) -> datetime:
        """Return the last time before a moment, in UTC."""
        if quick := self._without_clock_change(moment, forward=False):
            return quick
        from assets.instance.private import cron_ticks_before

        ticks = cron_ticks_before(moment, self.cron, self.timezone)
        return next(tick for tick in ticks if tick < moment).astimezone(UTC)

    def _without_clock_change(self, moment: datetime, *, forward: bool) -> datetime | None:
        """Return the time without Dagster, or None where clocks change near it or near the moment.

        Dagster decides which time counts when an hour is missing or repeated. Everywhere else a cron expression has one
        meaning, and Dagster takes a second to import.
        """
        from croniter import croniter

        zone = ZoneInfo(self.timezone)
        local = moment.astimezone(zone).replace(tzinfo=None)
        ticks = croniter(self.cron, local, ret_type=datetime)
        tick = (ticks.get_next() if forward else ticks.get_prev()).replace(tzinfo=zone)
        around = (moment - _DAY, moment + _DAY, tick - _DAY, tick + _DAY)
        offsets = {each.astimezone(zone).utcoffset() or timedelta(0) for each in around}
        # Dagster counts the hours of an hourly schedule in UTC, which differs in zones such as UTC+10:30.
        is_hourly = self.cron.split()[1] == "*"
        if len(offsets) > 1 or (is_hourly and any(offset % _HOUR for offset in offsets)):
            return None
        return tick.astimezone(UTC)

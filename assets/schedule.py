"""The times of the daily sync, as Dagster's daemon computes them from RIVO_SYNC_CRON and RIVO_TIMEZONE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from assets.instance.private import cron_ticks, cron_ticks_before


@dataclass(frozen=True)
class SyncSchedule:
    """The schedule of a cron expression in a time zone."""

    cron: str
    timezone: str

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after a moment, in UTC."""
        ticks = cron_ticks(moment, self.cron, self.timezone)
        return next(tick for tick in ticks if tick > moment).astimezone(UTC)

    def last_before(self, moment: datetime) -> datetime:
        """Return the last time before a moment, in UTC."""
        ticks = cron_ticks_before(moment, self.cron, self.timezone)
        return next(tick for tick in ticks if tick < moment).astimezone(UTC)

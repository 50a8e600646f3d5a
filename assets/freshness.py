"""The freshness policy of raw tables and the published file, computed from the schedule of syncs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise

import dagster as dg

from assets.instance.private import cron_ticks

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


def longest_gap(cron: str, timezone: str) -> timedelta:
    """Return the longest time between two consecutive syncs."""
    ticks = islice(cron_ticks(datetime(2026, 1, 1, tzinfo=UTC), cron, timezone), _TICKS)
    return max(
        (later.astimezone(UTC) - earlier.astimezone(UTC) for earlier, later in pairwise(ticks)),
        default=timedelta(days=1),
    )

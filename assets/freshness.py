"""When a table is late, told from when syncs are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise

import dagster as dg

from assets.instance.private import cron_ticks

_WARN_AFTER = timedelta(hours=1)
_FAIL_AFTER = timedelta(hours=3)
_TICKS = 400
"""More than a year of days, so that the long day in autumn is among them."""


@cache
def freshness_policy(cron: str, timezone: str) -> dg.FreshnessPolicy:
    """A sync is late an hour after the longest time between two of them, and fails to have happened after three.

    For the default, every day at 3 in UTC: yellow after 25 hours without a sync, red after 27; an hour more where
    clocks change, since a day in autumn has 25.
    """
    gap = longest_gap(cron, timezone)
    return dg.FreshnessPolicy.time_window(fail_window=gap + _FAIL_AFTER, warn_window=gap + _WARN_AFTER)


def longest_gap(cron: str, timezone: str) -> timedelta:
    """The longest time between two syncs."""
    ticks = islice(cron_ticks(datetime(2026, 1, 1, tzinfo=UTC), cron, timezone), _TICKS)
    return max(
        (later.astimezone(UTC) - earlier.astimezone(UTC) for earlier, later in pairwise(ticks)),
        default=timedelta(days=1),
    )

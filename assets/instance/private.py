"""Two of Dagster's private functions that the definitions need, imported here so that one package holds them all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from dagster._utils.schedules import cron_string_iterator
from dagster._utils.warnings import suppress_dagster_warnings

__all__ = ["cron_ticks", "suppress_dagster_warnings"]


def cron_ticks(start: datetime, cron: str, timezone: str) -> Iterator[datetime]:
    """Yield the times of a cron line from `start` on, as Dagster's daemon computes them, without an end."""
    yield from cron_string_iterator(start.timestamp(), cron, timezone)

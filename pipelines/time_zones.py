"""Time-zone data: Python has one copy, for the schedule; DuckDB has another, for local days. They can differ by age."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_BEFORE, _AFTER = timedelta(days=3 * 366), timedelta(days=2 * 366)
"""The years around now that are compared: those of most data, and of the next rules that are known."""


def first_difference(timezone: str, now: datetime) -> tuple[datetime, datetime, datetime] | None:
    """Compare the local times of Python and DuckDB, hour by hour, for the three years before now and the two after.

    Args:
        timezone: an IANA name that both know.
        now: with a time zone.

    Returns:
        the first moment, in UTC, at which they differ, and the local times that Python and DuckDB give for it, without
        a time zone; None if they agree.
    """
    # Imported here, since the settings, which every command reads, only ask for names.
    import duckdb

    start = (now - _BEFORE).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    zone = ZoneInfo(timezone)
    with duckdb.connect() as connection:
        theirs = connection.execute(
            "select epoch_us(timezone(?, hour)) from (select unnest(generate_series(?, ?, interval 1 hour)) as hour)",
            [timezone, start, start + _BEFORE + _AFTER],
        ).fetchall()
    for number, (microseconds,) in enumerate(theirs):
        moment = start + timedelta(hours=number)
        ours = moment.astimezone(zone).replace(tzinfo=None)
        local = datetime(1970, 1, 1) + timedelta(microseconds=microseconds)  # noqa: DTZ001
        if ours != local:
            return moment, ours, local
    return None


@cache
def _names() -> set[str]:
    return available_timezones() - {"localtime"}


def is_time_zone(name: str) -> bool:
    """Return whether a text is the name of an IANA time zone."""
    # To list all zones takes longer than a query.
    return name == "UTC" or name in _names()

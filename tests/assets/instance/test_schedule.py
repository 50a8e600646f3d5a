"""The next sync that `rivo status` names is the one that Dagster's daemon starts, also when clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from dagster._utils.schedules import reverse_cron_string_iterator, schedule_execution_time_iterator
from hypothesis import given
from hypothesis import strategies as st

from assets.schedule import SyncSchedule

CLOCKS_CHANGE = [
    ("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28, tzinfo=UTC)),
    ("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24, tzinfo=UTC)),
    ("0 0 * * *", "America/Havana", datetime(2026, 3, 7, tzinfo=UTC)),
    ("0 0 * * *", "America/Havana", datetime(2026, 10, 31, tzinfo=UTC)),
    ("15 0,12 * * 1-5", "Asia/Kathmandu", datetime(2026, 6, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize(("cron", "zone", "start"), CLOCKS_CHANGE)
def test_times_are_those_of_dagsters_daemon(cron: str, zone: str, start: datetime) -> None:
    # The function of the daemon.
    theirs = schedule_execution_time_iterator(start.timestamp(), cron, zone)
    ours = SyncSchedule(cron, zone)
    moment = start
    for _ in range(6):
        following = ours.next_after(moment)
        assert following > moment
        assert ours.last_before(following + timedelta(seconds=1)) == following
        assert next(theirs).astimezone(UTC) == following
        moment = following


@given(st.sampled_from(CLOCKS_CHANGE), st.integers(0, 6 * 24 * 60))
def test_every_moment_lies_between_two_times(schedule: tuple[str, str, datetime], minutes: int) -> None:
    cron, zone, start = schedule
    ours, moment = SyncSchedule(cron, zone), start + timedelta(minutes=minutes)
    assert ours.last_before(moment) < moment < ours.next_after(moment)
    assert ours.next_after(ours.last_before(moment)) >= moment


CRONS = [
    "0 3 * * *",
    "30 2 * * *",
    "0 * * * *",
    "*/20 1-3 * * *",
    "15 0,12 * * 1-5",
    "0 0 1 * *",
    "5 4 * * sun",
    "0 12 13 * 5",
    "59 23 31 12 *",
]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Havana",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
]


@given(st.sampled_from(CRONS), st.sampled_from(ZONES), st.integers(0, 3 * 365 * 24 * 60))
def test_times_computed_without_dagster_are_dagsters(cron: str, zone: str, minutes: int) -> None:
    moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    later = schedule_execution_time_iterator(moment.timestamp(), cron, zone)
    earlier = reverse_cron_string_iterator(moment.timestamp(), cron, zone)
    ours = SyncSchedule(cron, zone)

    # In UTC, since Python takes a time in a repeated hour for unequal to any time of another zone.
    assert ours.next_after(moment) == next(tick for tick in later if tick > moment).astimezone(UTC)
    assert ours.last_before(moment) == next(tick for tick in earlier if tick < moment).astimezone(UTC)

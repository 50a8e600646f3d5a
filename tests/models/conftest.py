"""Three small stores with a past, synced often enough to have a history, each judged by many tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from sandbox import Program, ProgramOptions
from tests.models.facts import World
from tests.models.shop import STATES, Shop, open_shop

BRONZE = 552_270


@dataclass(frozen=True)
class Case:
    """Which store is synced when. The first and the last sync read all lists, those between as many as needed."""

    name: str
    seed: int
    times: tuple[datetime, ...]
    timezone: str
    every_list: bool = False


def _days(first: datetime, offsets: range | tuple[int, ...]) -> tuple[datetime, ...]:
    return tuple(first + timedelta(days=offset) for offset in offsets)


CASES = (
    Case("weekly", 7, _days(datetime(2026, 8, 31, 6, tzinfo=UTC), range(0, 36, 7)), "UTC", every_list=True),
    # Half past two in the night of the next local day.
    Case("daily", 11, _days(datetime(2026, 6, 19, 21, tzinfo=UTC), range(25)), "Asia/Kolkata"),
    # 23:30 on the local day before until the clocks change on 8 March, 00:30 from then on.
    Case(
        "new_york",
        23,
        _days(datetime(2026, 3, 1, 4, 30, tzinfo=UTC), (0, 1, 4, 6, 7, 8, 9, 12, 16)),
        "America/New_York",
    ),
)


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.name)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    case: Case = request.param
    program = Program(ProgramOptions(seed=case.seed, customers=220, months=7, end=case.times[-1]))
    _unsettle(program, case.times)
    with open_shop(program, tmp_path_factory.mktemp(case.name), case.timezone) as shop:
        for number, at in enumerate(case.times, 1):
            is_last = number == len(case.times)
            whole = case.every_list or is_last or number == 1
            shop.sync(at, only=() if whole else STATES, models=is_last)
        yield shop


@pytest.fixture(scope="session")
def world(shop: Shop) -> World:
    return World.of(shop)


def _unsettle(program: Program, times: tuple[datetime, ...]) -> None:
    """Have happen what the simulation does not: customers vanish and return, a tier is given up."""
    middle = len(times) // 2
    before, after = times[middle - 1] + timedelta(hours=1), times[middle] + timedelta(hours=1)
    ids = [row["id"] for row in program.snapshot(times[0])["customers"]]
    for id in ids[10:14]:
        program.remove("customers", id, at=before)
    for id in ids[12:14]:
        program.restore("customers", id, at=after)
    program.override("customers", ids[13], at=after, vip_tier=None, loyalty_status="member")
    for id in ids[14:17]:
        program.override("customers", id, at=before, loyalty_status="guest")
    program.remove("vip_tiers", BRONZE, at=after)

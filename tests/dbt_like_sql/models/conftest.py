"""Three small stores with a history of several syncs, each judged by many tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from sandbox import Program, ProgramOptions
from tests.dbt_like_sql.models.facts import World
from tests.dbt_like_sql.models.stores import LEDGER, STATES, open_observed_store
from tests.harness.store import Store

JUDGED = (*LEDGER, "referrals", "rewards")
BRONZE, SILVER = 552_270, 552_288


@dataclass(frozen=True)
class Case:
    """A store and the times of its syncs. The last one reads what is judged, those before only STATES."""

    name: str
    seed: int
    months: int
    times: tuple[datetime, ...]
    timezone: str
    is_whole: bool = False
    """Whether the first and the last sync read all lists, so that the last one merges into the first."""


def _days(first: datetime, *offsets: int) -> tuple[datetime, ...]:
    return tuple(first + timedelta(days=offset) for offset in offsets)


CASES = (
    # First seen long before the weekly syncs, so that all codes of the old periods have expired.
    Case(
        "weekly",
        7,
        9,
        (
            datetime(2026, 1, 31, 6, tzinfo=UTC),
            *_days(datetime(2026, 9, 14, 6, tzinfo=UTC), *range(0, 22, 7)),
        ),
        "UTC",
        is_whole=True,
    ),
    # At 02:30 of the next local day, across the end of a quarter.
    Case("daily", 11, 7, _days(datetime(2026, 6, 21, 21, tzinfo=UTC), *range(11)), "Asia/Kolkata"),
    # At midnight until the clocks change on 8 March, at 01:00 afterwards.
    Case(
        "new_york",
        23,
        6,
        _days(datetime(2026, 3, 1, 5, tzinfo=UTC), 0, 1, 6, 7, 8, 15),
        "America/New_York",
    ),
)


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.name)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    case: Case = request.param
    program = Program(ProgramOptions(seed=case.seed, customers=220, months=case.months, end=case.times[-1]))
    _unsettle(program, case.times)
    with open_observed_store(program, tmp_path_factory.mktemp(case.name), case.timezone) as store:
        for at in case.times[:-1]:
            store.sync(*(() if case.is_whole and at == case.times[0] else STATES), at=at)
        store.sync(*(() if case.is_whole else JUDGED), at=case.times[-1], models=True)
        yield store


@pytest.fixture(scope="session")
def world(store: Store) -> World:
    return World.of(store)


def _unsettle(program: Program, times: tuple[datetime, ...]) -> None:
    """Add what the simulation does not do: customers vanish and return, a tier is removed."""
    middle = len(times) // 2
    before, after = times[middle - 1] + timedelta(hours=1), times[middle] + timedelta(hours=1)
    customers = program.snapshot(before)["customers"]
    ids = [row["id"] for row in customers]
    for id in ids[10:14]:
        program.remove("customers", id, at=before)
    for id in ids[12:14]:
        program.restore("customers", id, at=after)
    program.override("customers", ids[13], at=after, vip_tier=None, loyalty_status="member")
    for id in ids[14:17]:
        program.override("customers", id, at=before, loyalty_status="guest")
    # Bronze is removed; some of its members rise, the others fall.
    tiers = {row["id"]: row["attributes"] for row in program.snapshot(after)["vip_tiers"]}
    held = [r["id"] for r in customers[20:] if (r["attributes"]["vip_tier"] or {}).get("id") == BRONZE]
    for id in held[:3]:
        program.override("customers", id, at=after, loyalty_status="member", vip_tier=tiers[SILVER])
    program.remove("vip_tiers", BRONZE, at=after)

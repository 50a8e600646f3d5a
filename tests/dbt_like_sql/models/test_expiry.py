"""Expiring points equal naive computations; the date that is used is the one by which points expired before."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

import duckdb
import pytest

from tests.dbt_like_sql.models.test_spans_and_lots import code

# -- hand-made expiries -------------------------------------------------------------------------------

HISTORY, TODAY = date(2026, 1, 1), date(2026, 7, 1)


class Expiry(NamedTuple):
    """An expiry, in days after the start of history, with how far the two dates of its customer were from it."""

    day: int
    lot_off: int | None = None
    shown_off: int | None = None
    unit: str = "points"


def bases_of(expiries: list[Expiry]) -> dict[tuple[str, str], tuple[int, int, bool]]:
    """Return the entries, those explained, and whether it is used, by unit and basis. Each expiry has a customer."""
    with duckdb.connect() as connection:
        connection.execute(
            "set timezone = 'UTC'; create schema staging; create schema intermediate; "
            f"create table intermediate.int_clock as select timestamptz '{TODAY}' as observed_at; "
            "create table intermediate.int_ledger_entries (event_id int, customer_id int, unit text, leg text, "
            "entry_class text, amount int, entry_at timestamptz, entry_date date, expires_on date, "
            "is_counted boolean); "
            "create table staging.stg_rivo__customers_history (customer_id int, valid_from timestamptz, "
            "valid_to timestamptz, points_expire_on date)"
        )
        for number, (after, lot_off, shown_off, unit) in enumerate(expiries):
            day = HISTORY + timedelta(days=after)
            due = None if lot_off is None else day + timedelta(days=lot_off)
            shown = None if shown_off is None else day + timedelta(days=shown_off)
            for event, name, amount, at, expires_on in (
                (2 * number, "issue_action", 50, day - timedelta(days=90), due),
                (2 * number + 1, "expire", -50, day, None),
            ):
                connection.execute(
                    "insert into intermediate.int_ledger_entries values (?, ?, ?, 'original', ?, ?, ?, ?, ?, true)",
                    [event, number, unit, name, amount, f"{at} 03:00:00Z", at, expires_on],
                )
            # Shown from the day before the expiry until the morning after it; other days before and afterwards.
            other = day + timedelta(days=365)
            noticed, renewed = (f"{day + timedelta(days=shift)} 06:00:00Z" for shift in (-1, 1))
            versions = [
                (f"{HISTORY} 00:00:00Z", noticed, other),
                (noticed, renewed, shown),
                (renewed, None, other),
            ]
            for begins, ends, text in versions if day > HISTORY else [(f"{HISTORY} 00:00:00Z", None, shown)]:
                connection.execute(
                    "insert into staging.stg_rivo__customers_history values (?, ?, ?, ?)",
                    [number, begins, ends, text],
                )
        rows = connection.execute(code("int_expiry_basis")).fetchall()
    return {(unit, basis): (entries, explained, used) for unit, basis, entries, explained, _, used in rows}


@pytest.mark.parametrize(
    ("expiries", "customer", "entry"),
    [
        # Nothing has expired yet, or only in the future.
        ([], (0, 0, False), (0, 0, False)),
        ([Expiry(500, lot_off=0, shown_off=0)], (0, 0, False), (0, 0, False)),
        # 19 of 20 are enough, 18 are not.
        (
            [Expiry(day, shown_off=0) for day in range(1, 20)] + [Expiry(20)],
            (20, 19, True),
            (20, 0, False),
        ),
        (
            [Expiry(day, shown_off=0) for day in range(1, 19)] + [Expiry(20)] * 2,
            (20, 18, False),
            (20, 0, False),
        ),
        # A day before or after is the same day, two are not.
        ([Expiry(9, lot_off=-1), Expiry(9, lot_off=1)], (2, 0, False), (2, 2, True)),
        ([Expiry(9, shown_off=-1), Expiry(9, shown_off=1)], (2, 2, True), (2, 0, False)),
        (
            [Expiry(9, lot_off=2, shown_off=-2), Expiry(9, lot_off=-2, shown_off=2)],
            (2, 0, False),
            (2, 0, False),
        ),
        # Both kinds side by side.
        ([Expiry(9, lot_off=0), Expiry(9, shown_off=0)], (2, 1, False), (2, 1, False)),
        # Before history, only the lots' own dates are known.
        ([Expiry(-9, lot_off=0, shown_off=0)], (0, 0, False), (1, 1, True)),
        # Both explain enough: the one that explains more, else the lots' own dates.
        ([Expiry(9, lot_off=0, shown_off=0)], (1, 1, False), (1, 1, True)),
        (
            [Expiry(day, lot_off=0, shown_off=0) for day in range(1, 20)] + [Expiry(20, shown_off=0)],
            (20, 20, True),
            (20, 19, False),
        ),
    ],
)
def test_basis_used_is_the_one_that_explains_past_expiries(
    expiries: list[Expiry], customer: tuple[int, int, bool], entry: tuple[int, int, bool]
) -> None:
    assert bases_of(expiries) == {
        ("points", "customer"): customer,
        ("points", "entry"): entry,
        ("credits", "entry"): (0, 0, False),
    }


def test_basis_of_store_credit_is_judged_by_its_own_expiries() -> None:
    found = bases_of([Expiry(9, shown_off=0), Expiry(9, lot_off=0, unit="credits")])
    assert found["credits", "entry"] == (1, 1, True)
    assert found["points", "entry"] == (1, 0, False)
    assert found["points", "customer"] == (1, 1, True)


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (None, {("customer", 0, 90, False), ("customer", 4, 20, False), ("entry", 0, 30, False)}),
        ("customer", {("customer", 0, 90, True), ("customer", 4, 20, True)}),
        ("entry", {("entry", 0, 30, True)}),
    ],
)
def test_expiring_points_are_of_the_used_basis_from_today_on(
    used: str | None, expected: set[tuple[str, int, int, bool]]
) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create schema intermediate; create schema marts; "
            f"create table intermediate.int_clock as select date '{TODAY}' as local_date; "
            "create table intermediate.int_expiry_basis as select unit, basis, "
            f"basis is not distinct from {repr(used) if used else 'null'} as is_used "
            "from (values ('points', 'customer'), ('points', 'entry')) as b (unit, basis); "
            "create table marts.dim_member as select *, 'a@example.com' as email, 0 as credits_balance from (values "
            "(1, true, false, date '2026-07-01', 90), (2, true, false, date '2026-07-05', 20), "
            # Due yesterday, nothing left, a guest, a deleted member, no date.
            "(3, true, false, date '2026-06-30', 50), (4, true, false, date '2026-07-05', 0), "
            "(5, false, false, date '2026-07-05', 50), (6, false, true, date '2026-07-05', 50), "
            "(7, true, false, null, 50)) as m (customer_id, is_member, is_deleted, points_expire_on, points_balance); "
            "create table marts.fct_points_lot as select 'points' as unit, * from (values "
            "(1, date '2026-07-01', 10), (1, date '2026-07-01', 20), (1, date '2026-06-30', 40), (1, null, 5), "
            "(2, date '2026-07-05', 0), (5, date '2026-07-05', 50)) as l (customer_id, expires_on, remaining)"
        )
        rows = connection.execute(
            f"select basis, days_left, points::int, is_used from ({code('rpt_points_expiring')})"
        ).fetchall()
    assert set(rows) == expected
    assert len(rows) == len(expected)

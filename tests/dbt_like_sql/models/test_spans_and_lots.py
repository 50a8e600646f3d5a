"""Spans and allocations of random customers equal naive computations: absences, debts, points that come back twice."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from dbt_like_sql.runner import Model
from tests.harness.store import project

HISTORY, TODAY = date(2026, 3, 1), date(2026, 7, 1)
DAYS = (TODAY - HISTORY).days
Key = tuple[int, str]


def code(name: str) -> str:
    node = project().node(name)
    assert isinstance(node, Model)
    return node.code


# -- spans --------------------------------------------------------------------------------------------

STAYS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from([0, 1, 5, 40, 100]), st.sampled_from([None, 1, 2])),
    min_size=1,
    max_size=5,
)
"""Stays of a customer: days of absence before, days in the tier, tier."""
BOOKED = st.dictionaries(
    st.integers(-100, DAYS + 5),
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-3, 3), st.booleans()),
    max_size=8,
)
"""By day after the first of history: points issued, points redeemed, imported or adjusted, whether it is activity."""


@settings(max_examples=60, deadline=None)
@given(stays=STAYS, booked=BOOKED)
def test_spans_equal_the_days_of_a_random_customer(
    stays: list[tuple[int, int, int | None]], booked: dict[int, tuple[int, int, int, bool]]
) -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema intermediate; create schema marts")
        connection.execute(
            f"create table intermediate.int_clock as select date '{HISTORY}' as history_start_date, "
            f"date '{TODAY}' as local_date"
        )
        connection.execute(
            "create table intermediate.int_state_days (customer_id int, state text, tier_id int, first_day date, "
            "last_day date); "
            "create table days (customer_id int, local_day date, issued bigint, redeemed bigint, expired bigint, "
            "orders bigint, is_active boolean, points_balance bigint, credits_balance decimal(18, 4)); "
            "create view intermediate.int_member_days as select *, "
            "max(case when is_active then local_day end) over by_day as last_active_day, "
            "lead(local_day) over by_day as next_day from days window by_day as (order by local_day)"
        )
        states = _insert_stays(connection, stays)
        balance = 0
        balances: dict[int, int] = {}
        for day, (issued, redeemed, other, is_active) in sorted(booked.items()):
            balance += issued - redeemed + other
            balances[day] = balance
            row = [_day(day), issued, redeemed, is_active, balance]
            connection.execute("insert into days values (1, ?, ?, ?, 0, 0, ?, ?, 0)", row)
        connection.execute(f"create view intermediate.int_member_spans as {code('int_member_spans')}")
        connection.execute(f"create view marts.fct_member_span as {code('fct_member_span')}")
        spans = connection.execute(
            "select first_day, last_day, tier_id, points_balance, issued, redeemed, is_active_30d, is_active_90d "
            "from marts.fct_member_span order by first_day"
        ).fetchall()
    found = {
        first + timedelta(days=number): tuple(values)
        for first, last, *values in spans
        for number in range((last - first).days + 1)
    }
    active = [day for day, (_, _, _, is_active) in booked.items() if is_active]
    expected = {}
    for day, tier in states.items():
        issued, redeemed, *_ = booked.get(day, (0, 0, 0, False))
        balance = next((balances[each] for each in sorted(balances, reverse=True) if each <= day), 0)
        flags = [any(day - length < each <= day for each in active) for length in (30, 90)]
        expected[_day(day)] = (tier, balance, issued, redeemed, *flags)
    assert sum((last - first).days + 1 for first, last, *_ in spans) == len(found), "spans overlap"
    assert found == expected
    # Two spans in a row differ, or are days on which something was booked.
    for (_, ended, *before), (begun, _, *after) in pairwise(spans):
        assert begun > ended + timedelta(days=1) or before != after or before[2] or before[3]


def _day(number: int) -> date:
    return HISTORY + timedelta(days=number)


def _insert_stays(
    connection: duckdb.DuckDBPyConnection, stays: list[tuple[int, int, int | None]]
) -> dict[int, int | None]:
    """Insert the stays that begin before today, the last one open, and return the tier of each day."""
    begins, rows = 0, []
    for number, (absent, length, tier) in enumerate(stays):
        # A stay follows on another tier, or after an absence, or on one of less than a day.
        first = begins + absent
        last = None if number == len(stays) - 1 else first + length
        if first <= DAYS:
            rows.append((first, last if last is None or last <= DAYS else None, tier))
        begins = first + length + 1
    states: dict[int, int | None] = {}
    for first, last, tier in rows:
        end = None if last is None else _day(last)
        connection.execute(
            "insert into intermediate.int_state_days values (1, ?, ?, ?, ?)",
            [f"tier {tier}", tier, _day(first), end],
        )
        states |= dict.fromkeys(range(first, (DAYS if last is None else last) + 1), tier)
    return states


# -- allocations --------------------------------------------------------------------------------------

ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(
            ["issue_purchase", "issue_action", "unclassified", "redeem", "expire", "adjust_negative"]
        ),
        st.integers(1, 60),
        st.sampled_from(["", "revoked", "returned"]),
        st.integers(0, 30),
    ),
    min_size=1,
    max_size=25,
)
"""Events of a customer in their order: class, amount, whether undone later, which earlier event an expiry names."""
BASES = {"issue_purchase": "purchase", "issue_action": "non_purchase"}


@settings(max_examples=60, deadline=None)
@given(events=ENTRIES)
def test_allocations_and_bases_equal_a_random_ledger_played_through(
    events: list[tuple[str, int, str, int]],
) -> None:
    entries, names = _ledger(events)
    with duckdb.connect() as connection:
        connection.execute("create schema intermediate; create schema staging")
        connection.execute(
            "create table intermediate.int_ledger_entries (event_id bigint, customer_id bigint, unit text, leg text, "
            "entry_class text, earn_basis text, redemption_id bigint, amount decimal(18, 4), entry_at timestamptz, "
            "is_counted boolean); "
            "create table staging.stg_rivo__points_events (event_id bigint, sourceable_id text)"
        )
        for row in entries:
            connection.execute(
                "insert into intermediate.int_ledger_entries values (?, 7, 'points', ?, ?, ?, ?, ?, ?, true)",
                row,
            )
        for event, named in names.items():
            connection.execute(
                "insert into staging.stg_rivo__points_events values (?, ?)", [event, str(named)]
            )
        connection.execute(
            f"create table intermediate.int_points_allocations as {code('int_points_allocations')}"
        )
        found = {
            (lot, lot_leg, debit, debit_leg): (amount, basis)
            for lot, lot_leg, debit, debit_leg, amount, basis in connection.execute(
                "select lot_event_id, lot_leg, debit_event_id, debit_leg, amount, basis "
                "from intermediate.int_points_allocations"
            ).fetchall()
        }
        bases = {
            (event, leg): basis
            for event, _, leg, basis in connection.execute(code("int_returned_lots")).fetchall()
        }
    allocations = _allocations(entries, names)
    assert found == allocations
    assert bases == _returned(entries, allocations)


def _ledger(events: list[tuple[str, int, str, int]]) -> tuple[list[list[Any]], dict[int, int]]:
    """Return entries in their order, and the event that each expiry names."""
    rows: list[list[Any]] = []
    names: dict[int, int] = {}
    for number, (entry_class, size, undone, named) in enumerate(events):
        event = number + 1
        amount = Decimal(size if entry_class in ("issue_purchase", "issue_action", "unclassified") else -size)
        basis = BASES.get(entry_class)
        rows.append([event, "original", entry_class, basis, event, amount, _moment(number)])
        if entry_class == "expire":
            names[event] = named % event
        if undone == "revoked":
            back = {"redeem": "redeem_return", "expire": "expire"}.get(entry_class, "issue_reversal")
            rows.append([event, "revocation", back, basis, event, -amount, _moment(number + size // 10)])
        elif undone == "returned" and entry_class == "redeem":
            later = _moment(number + size // 10)
            rows.append([event + 1000, "original", "redeem_return", None, event, -amount / 2, later])
    return sorted(rows, key=lambda row: (row[6], row[0], row[1])), names


def _moment(number: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)


def _allocations(entries: list[list[Any]], names: dict[int, int]) -> dict[Any, tuple[Decimal, str]]:
    left = {(row[0], row[1]): row[5] for row in entries if row[5] > 0}
    owed = {(row[0], row[1]): -row[5] for row in entries if row[5] < 0}
    expiries = [row for row in entries if row[5] < 0 and row[1] == "original" and row[2] == "expire"]
    named = {(row[0], row[1]): (names[row[0]], "original") for row in expiries}
    believed = sum(lot in left for lot in named.values()) >= 0.95 * len(named)
    wanted = dict(named) if believed else {}
    wanted |= {key: (key[0], "original") for key in owed if key[1] == "revocation"}
    found: dict[Any, tuple[Decimal, str]] = {}
    for basis, debits in (("named", [key for key in owed if key in wanted]), ("fifo", list(owed))):
        for debit in debits:
            for lot in [wanted[debit]] if basis == "named" else list(left):
                amount = min(left.get(lot, Decimal()), owed[debit])
                if amount:
                    found[*lot, *debit] = (amount, basis)
                    left[lot] -= amount
                    owed[debit] -= amount
    return found


def _returned(entries: list[list[Any]], allocations: dict[Any, tuple[Decimal, str]]) -> dict[Key, str | None]:
    own = {(row[0], row[1]): (row[2], row[3]) for row in entries}
    decided: dict[Key, str | None] = {}
    paid: set[Key] = set()
    for event, leg, entry_class, _, redemption, amount, _ in entries:
        if entry_class != "redeem_return" or amount < 0:
            continue
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for (lot, lot_leg, debit, _), (taken, _) in allocations.items():
            is_its = debit == (event if leg == "revocation" else redemption)
            if not is_its or own[debit, "original"][0] != "redeem":
                continue
            lot_class, basis = own[lot, lot_leg]
            if lot_class == "redeem_return":
                if (lot, lot_leg) not in decided:  # it came back later
                    continue
                basis = decided[lot, lot_leg]
            paid.add((event, leg))
            if basis:
                sums[basis] += taken
        decided[event, leg] = min(sums, key=lambda name: (-sums[name], name)) if sums else None
    return {key: basis for key, basis in decided.items() if key in paid}

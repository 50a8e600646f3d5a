"""Four weeks of one small store with every kind of event that must not change the past.

The customers cannot be read in the second week; one of them is gone in the third and back in the fourth.
Bronze is renamed in the first. In the last week an entry is booked that counts from the first one on, and
an older entry is revoked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest

from sandbox import DEFAULT_END, Program, ProgramOptions
from tests.dbt_like_sql.models.stores import LEDGER, STATES, open_observed_store
from tests.harness.compare import Row
from tests.harness.store import Store

WEEKS = tuple(DEFAULT_END - timedelta(weeks=3 - number) for number in range(4))
LATE_AT = WEEKS[0] + timedelta(days=2)
REVOKED_AT = WEEKS[2] + timedelta(days=2)
BRONZE = 552_270
Tables = dict[str, list[Row]]


@dataclass
class Story:
    """The store's tables after the third and after the fourth week, and the ids of the rows that change."""

    store: Store
    before: Tables
    after: Tables
    vanished: int
    booked: int
    late: int
    revoked: int
    failed: tuple[str, ...]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    program = Program(ProgramOptions(seed=9, customers=25, months=6))
    people = [row for row in program.snapshot(WEEKS[0])["customers"] if row["attributes"]["vip_tier"]]
    vanished, booked = people[0]["id"], people[1]["id"]
    events = program.snapshot(WEEKS[0])["points_events"]
    revoked = next(
        row["id"]
        for row in events
        if row["attributes"]["customer"]["id"] == booked and row["attributes"]["source"] == "order_placed"
    )
    program.override("vip_tiers", BRONZE, at=WEEKS[0] + timedelta(days=1), name="Copper")
    program.remove("customers", vanished, at=WEEKS[1] + timedelta(days=1))
    program.restore("customers", vanished, at=WEEKS[2] + timedelta(days=1))
    late = program.insert(
        "points_events",
        {"customer": {"id": booked}, "points_diff": 70, "applied_at": LATE_AT},
        at=WEEKS[2] + timedelta(days=3),
    )
    program.override("points_events", revoked, at=REVOKED_AT, revoked_at=REVOKED_AT)
    with open_observed_store(program, tmp_path_factory.mktemp("story")) as store:
        store.sync(*STATES, at=WEEKS[0])
        store.sync(*STATES, at=WEEKS[1], faults=["http_500:customers=1"])
        failed = tuple(result.name for result in store.results.values() if not result.complete)
        store.sync(*LEDGER, at=WEEKS[2], models=True)
        before = tables(store)
        store.sync(*LEDGER, at=WEEKS[3], models=True)
        yield Story(store, before, tables(store), vanished, booked, late, revoked, failed)


def tables(store: Store, *, with_raw: bool = False) -> Tables:
    """Return all marts and reports, and on request the raw tables but those about syncs."""
    schemas = ["marts", "reports", *(["rivo_raw"] if with_raw else [])]
    names = store.dicts("select table_schema, table_name from information_schema.tables")
    return store.rows_of(
        f"{row['table_schema']}.{row['table_name']}"
        for row in names
        if row["table_schema"] in schemas
        and row["table_name"] not in ("sync_log", "_publication")
        and not row["table_name"].startswith("_dlt")
    )


def outstanding(found: Tables, day: date) -> int:
    return sum(
        row["points_outstanding"] for row in found["reports.rpt_tier_distribution"] if row["local_day"] == day
    )


def test_failed_customers_list_makes_no_member_leave(story: Story) -> None:
    assert story.failed == ("customers",)
    days = {WEEKS[1].date() + timedelta(days=shift) for shift in (-1, 0, 1)}
    rows = [row for row in story.after["reports.rpt_tier_distribution"] if row["local_day"] in days]
    counts = {
        day: sorted((row["state"], row["members"]) for row in rows if row["local_day"] == day) for day in days
    }
    assert len(set(map(tuple, counts.values()))) == 1
    assert all(counts.values())
    moves = story.after["marts.fct_tier_change"]
    assert WEEKS[1] not in {row["changed_by"] for row in moves} | {row["changed_after"] for row in moves}


def test_deleted_customer_leaves_and_returns_as_the_same_member(story: Story) -> None:
    def row_of(found: Tables) -> Row:
        [row] = [row for row in found["marts.dim_member"] if row["customer_id"] == story.vanished]
        return row

    def left(found: Tables) -> int:
        cells = found["reports.rpt_tier_migration"]
        return sum(c["members"] for c in cells if c["period_type"] == "to_date" and c["to_state"] == "(left)")

    gone, back = row_of(story.before), row_of(story.after)
    assert (gone["is_deleted"], gone["tier_id"], left(story.before)) == (True, None, 1)
    assert (back["is_deleted"], left(story.after)) == (False, 0)
    assert back["tier_id"] is not None
    assert back["tier_entered_at"] is None
    assert story.vanished not in {row["customer_id"] for row in story.after["marts.fct_tier_change"]}


def test_renamed_tier_moves_no_member_and_shows_its_present_name(story: Story) -> None:
    for found in (story.before, story.after):
        moves = found["marts.fct_tier_change"]
        assert not [row for row in moves if row["from_tier_id"] == row["to_tier_id"] == BRONZE]
        assert not [row for row in moves if row["from_state"] == row["to_state"]]
        for table, columns in {
            "reports.rpt_tier_distribution": ("state",),
            "reports.rpt_tier_migration": ("from_state", "to_state"),
            "reports.rpt_redemption_rates": ("segment",),
            "marts.dim_member": ("tier_name",),
            "marts.fct_tier_change": ("from_state", "to_state"),
        }.items():
            names = {row[column] for row in found[table] for column in columns}
            assert "Bronze" not in names, table
            assert "Copper" in names or table == "marts.fct_tier_change", table


def test_late_entry_changes_balances_from_its_day_on(story: Story) -> None:
    day = WEEKS[0].date()
    while day < WEEKS[2].date():
        more = outstanding(story.after, day) - outstanding(story.before, day)
        assert more == (70 if day >= LATE_AT.date() else 0), day
        day += timedelta(days=1)
    days = {
        name: {(row["customer_id"], row["local_day"]): row for row in found["marts.fct_member_daily"]}
        for name, found in (("before", story.before), ("after", story.after))
    }
    changed = {
        key: days["after"][key]["points_balance"] - row["points_balance"]
        for key, row in days["before"].items()
        if key[1] < WEEKS[2].date() and row != days["after"].get(key)
    }
    assert set(changed.values()) == {70}
    assert {id for id, _ in changed} == {story.booked}
    assert min(day for _, day in changed) == LATE_AT.date()
    [entry] = [row for row in story.after["marts.fct_points_ledger"] if row["event_id"] == story.late]
    assert (entry["entry_at"], entry["leg"], entry["amount"]) == (LATE_AT, "original", 70)


def test_revocation_adds_a_leg_and_keeps_the_original(story: Story) -> None:
    def legs(found: Tables) -> list[Row]:
        return [row for row in found["marts.fct_points_ledger"] if row["event_id"] == story.revoked]

    [first] = legs(story.before)
    original, revocation = sorted(legs(story.after), key=lambda row: str(row["leg"]))
    assert {**original, "balance_after": None} == {**first, "balance_after": None}
    assert (revocation["leg"], revocation["entry_class"]) == ("revocation", "issue_reversal")
    assert (revocation["amount"], revocation["entry_at"]) == (-first["amount"], REVOKED_AT)
    [member] = [row for row in story.after["marts.dim_member"] if row["customer_id"] == story.booked]
    assert member["points_balance"] == member["points_tally"]


@pytest.fixture(scope="module")
def at_once(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The same store in a second warehouse, first synced in the fourth week."""
    with open_observed_store(story.store.program, tmp_path_factory.mktemp("at_once")) as store:
        store.sync(*LEDGER, at=WEEKS[3], models=True)
        yield store


def test_weekly_syncs_equal_one_late_first_sync(story: Story, at_once: Store) -> None:
    for table in (
        "marts.fct_points_ledger",
        "marts.fct_redemption",
        "marts.fct_points_lot",
        "reports.rpt_ledger_reconciliation",
        "reports.rpt_points_rollforward",
        "reports.rpt_points_liability",
        "reports.rpt_points_vintage",
        "reports.rpt_points_revenue",
        "reports.rpt_reward_performance",
        "reports.rpt_earning_rule_performance",
        "reports.rpt_member_cohort_retention",
        "reports.rpt_member_funnel",
        "reports.rpt_near_next_tier",
        "reports.rpt_tier_at_risk",
    ):
        one, other = (
            in_order(
                {name: value for name, value in row.items() if name != "tier_id_at_entry"} for row in rows
            )
            for rows in (story.after[table], at_once.dicts(f"from {table}"))
        )
        assert one
        assert one == other, table


def test_second_sync_at_the_same_time_changes_no_row(at_once: Store) -> None:
    before = tables(at_once, with_raw=True)
    at_once.sync(*LEDGER, at=WEEKS[3], models=True)
    after = tables(at_once, with_raw=True)
    assert before.keys() == after.keys() >= {"rivo_raw.customers", "rivo_raw.customers_history"}
    changed = [name for name in before if in_order(before[name]) != in_order(after[name])]
    assert changed == []


def in_order(rows: Any) -> list[str]:
    return sorted(map(repr, rows))

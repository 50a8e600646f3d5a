"""Raw rows changed by hand: each damage fails a blocking check, whose message names the row."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.runner import TestResult, build, select
from dbt_like_sql.runner.testing import select_tests
from dbt_like_sql.runner.testing import test as run_tests
from sandbox import DEFAULT_END, Program, ProgramOptions
from tests.dbt_like_sql.models.stores import open_observed_store
from tests.harness.store import Store, project


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    program = Program(ProgramOptions(seed=5, customers=40, months=7))
    with open_observed_store(program, tmp_path_factory.mktemp("damage")) as store:
        store.sync(at=DEFAULT_END, models=True)
        yield store


def one(store: Store, query: str) -> tuple[int, ...]:
    """Return the first row of a query."""
    return tuple(store.dicts(f"{query} limit 1")[0].values())


def results(store: Store, folder: Path, damage: str) -> list[TestResult]:
    """Damage a copy of the warehouse, build the models again, and return their checks."""
    copy = folder / "damaged.duckdb"
    shutil.copy(store.path, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(damage)
        nodes = list(build(connection, project(), select(project(), CHECKED)))
    return [test for node in nodes for test in node.tests]


def red(store: Store, folder: Path, damage: str) -> dict[str, str]:
    """Damage a copy of the warehouse; return name and message of the blocking checks that fail."""
    return {test.name: test.message for test in results(store, folder, damage) if test.blocks}


# The models that have checks of raw rows, with all that they and these checks read.
CHECKED = (
    "+rpt_ledger_reconciliation +fct_redemption +fct_points_ledger stg_rivo__customers_history "
    "+rpt_points_rollforward +rpt_earning_rule_performance +dim_member +int_points_allocations"
)
STANDING = "_deleted_at is null and revoked_at is null and points_diff <> 0"


def test_undamaged_copy_passes_all_blocking_checks(store: Store, tmp_path: Path) -> None:
    assert red(store, tmp_path, "select 1") == {}


def test_allowed_oddities_give_no_warning(store: Store, tmp_path: Path) -> None:
    """A refund that staff took back adds points; an expiry date that is not set may come as an empty text."""
    [event] = one(
        store, f"select id from rivo_raw.points_events where source = 'order_placed' and {STANDING}"
    )
    found = results(
        store,
        tmp_path,
        "update rivo_raw.points_events set points_diff = -points_diff, revoked_at = applied_at + interval 1 hour "
        f"where id = {event}; update rivo_raw.customers set points_expire_at = ' ' where points_expire_at is null",
    )
    names = ("fct_points_ledger_redemptions_take", "stg_rivo__customers_expiry_text_is_a_date")
    assert {test.name: test.status for test in found if test.name in names} == dict.fromkeys(names, "pass")


@pytest.mark.parametrize(
    "which",
    [
        pytest.param(f"source = 'order_placed' and {STANDING}", id="earned"),
        pytest.param(f"source = 'points_purchase' and points_diff < 0 and {STANDING}", id="spent"),
    ],
)
def test_dropped_ledger_row_is_found(store: Store, tmp_path: Path, which: str) -> None:
    event, customer = one(store, f"select id, customer_id from rivo_raw.points_events where {which}")
    found = red(store, tmp_path, f"delete from rivo_raw.points_events where id = {event}")
    message = found["rows_that_were_read_are_there"]
    assert f"list_id points_events, customer_id {customer}" in message


def test_dropped_revoked_row_is_found_though_no_balance_changes(store: Store, tmp_path: Path) -> None:
    [event] = one(store, "select id from rivo_raw.points_events where revoked_at is not null")
    found = red(store, tmp_path, f"delete from rivo_raw.points_events where id = {event}")
    assert "list_id points_events" in found["rows_that_were_read_are_there"]


def test_list_that_lost_all_rows_fails_the_check(store: Store, tmp_path: Path) -> None:
    found = red(store, tmp_path, "delete from rivo_raw.points_redemptions")
    assert "list_id points_redemptions" in found["rows_that_were_read_are_there"]


@pytest.mark.parametrize("id", ["id", "id + 1"], ids=["under_its_id", "under_another"])
def test_duplicated_redemption_is_found(store: Store, tmp_path: Path, id: str) -> None:
    [redemption] = one(store, "select id from rivo_raw.points_redemptions")
    damage = (
        f"insert into rivo_raw.points_redemptions select * replace ({id} as id) "
        f"from rivo_raw.points_redemptions where id = {redemption}"
    )
    # Rivo alone can list a claim under two ids, so that does not block.
    found = [test for test in results(store, tmp_path, damage) if test.status != "pass"]
    assert any(f"redemption_id {redemption}" in test.message for test in found), found
    assert any(test.blocks for test in found) == (id == "id")


@pytest.mark.parametrize(
    ("tables", "check"),
    [
        (("customers",), "customers_are_their_open_version"),
        (("customers_history",), "customers_are_their_open_version"),
        # This is also what a row with two tiers would look like, so it does not block.
        (("customers", "customers_history"), "customers_hold_their_nested_tier"),
    ],
)
def test_changed_tier_of_a_customer_is_found(
    store: Store, tmp_path: Path, tables: tuple[str, ...], check: str
) -> None:
    customer, other = one(
        store,
        "select customers.id as customer_id, tiers.id as tier_id from rivo_raw.customers as customers "
        "inner join rivo_raw.vip_tiers as tiers on tiers.id <> customers.vip_tier_id",
    )
    damage = ";".join(
        f"update rivo_raw.{name} set vip_tier_id = {other} where id = {customer}" for name in tables
    )
    [found] = [test for test in results(store, tmp_path, damage) if test.name == check]
    assert found.status in ("fail", "warn")
    assert f"customer_id {customer}" in found.message


def test_lost_row_blocks_publishing_until_it_is_read_again(store: Store) -> None:
    event, customer = one(
        store, f"select id, customer_id from rivo_raw.points_events where {STANDING} order by id"
    )
    with duckdb.connect(str(store.path)) as connection:
        connection.execute(f"delete from rivo_raw.points_events where id = {event}")
    # `sync` requires that the warehouse is published.
    with pytest.raises(AssertionError, match="rows_that_were_read_are_there"):
        store.sync(at=DEFAULT_END + timedelta(days=1), models=True)
    store.sync(at=DEFAULT_END + timedelta(days=9), models=True)
    assert store.dicts(f"from marts.fct_points_ledger where event_id = {event}")
    [row] = store.dicts(
        f"from reports.rpt_ledger_reconciliation where customer_id = {customer} and unit = 'points'"
    )
    assert row["is_reconciled"]


LEDGER = "intermediate.int_ledger_entries"
SPANS = "intermediate.int_member_spans"
CHECKED_ROWS = {
    "ledger_has_the_entries_of_every_event": (
        "event_id",
        f"select min(event_id) from {LEDGER} where leg = 'original' and not is_revoked",
    ),
    "spans_do_not_overlap": (
        "customer_id",
        f"select min(customer_id) from {SPANS} where last_day is not null",
    ),
}


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("ledger_has_the_entries_of_every_event", f"insert into {LEDGER} select * from {LEDGER} where"),
        ("ledger_has_the_entries_of_every_event", f"delete from {LEDGER} where"),
        ("ledger_has_the_entries_of_every_event", f"update {LEDGER} set unit = 'credits' where"),
        ("ledger_has_the_entries_of_every_event", f"update {LEDGER} set leg = 'revocation' where"),
        ("spans_do_not_overlap", f"insert into {SPANS} select * from {SPANS} where"),
        ("spans_do_not_overlap", f"update {SPANS} set last_day = last_day + 1 where"),
    ],
    ids=["entry_twice", "entry_missing", "other_unit", "other_leg", "span_twice", "span_too_long"],
)
def test_wrong_row_of_a_table_is_found(store: Store, tmp_path: Path, check: str, damage: str) -> None:
    copy = tmp_path / "damaged.duckdb"
    shutil.copy(store.path, copy)
    column, query = CHECKED_ROWS[check]
    with duckdb.connect(str(copy)) as connection:
        [[row]] = connection.execute(query).fetchall()
        [before] = run_tests(connection, project(), select_tests(project(), check))
        connection.execute(f"{damage} {column} = {row}")
        [after] = run_tests(connection, project(), select_tests(project(), check))
    assert (before.status, after.status) == ("pass", "fail")
    assert f"{column} {row}" in after.message

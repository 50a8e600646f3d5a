"""Shops whose tallies leave out more, or less, than revoked entries: the data decides the rule, all balances follow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbt_like_sql.runner import build
from sandbox import DEFAULT_END, Program, ProgramOptions
from tests.dbt_like_sql.models import judge_lots, judge_points
from tests.dbt_like_sql.models.facts import World
from tests.dbt_like_sql.models.judge_ledger import ledger
from tests.dbt_like_sql.models.stores import LEDGER, open_observed_store
from tests.dbt_like_sql.models.test_judged import compare
from tests.harness.store import Store, project

# The models of the ledger and its balances, and those that check them.
SELECTION = (
    "+rpt_data_trust +rpt_ledger_reconciliation +rpt_points_rollforward "
    "+dim_member +fct_member_daily +fct_points_lot"
)


@pytest.fixture(scope="module", params=["c", "d"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    rule: str = request.param
    program = Program(ProgramOptions(seed=4, customers=60, months=7, tally_rule=rule))
    with open_observed_store(program, tmp_path_factory.mktemp(rule), selection=SELECTION) as store:
        store.sync(*LEDGER, at=DEFAULT_END, models=True)
        yield store


def test_tally_rule_is_found_and_named(store: Store) -> None:
    rule = store.program.options.tally_rule
    trust = {row["check_name"]: row for row in store.dicts("from reports.rpt_data_trust")}
    assert trust["ledger_rule_points"]["answer"] == rule
    assert f"follows rule {rule}:" in trust["ledger_rule_points"]["finding"]
    assert trust["members_reconciled_points"]["share"] == trust["balance_reconciled_points"]["share"] == 1
    assert trust["entries_not_counted"]["affected"] > 0
    [b] = store.dicts(
        "select members_b < members_compared as differs from intermediate.int_tally_rule where unit = 'points'"
    )
    assert b["differs"]


def test_balances_follow_the_tally_rule(store: Store) -> None:
    world = World.of(store)
    points = "unit = 'points'"
    compare(
        store,
        f"(from marts.fct_points_ledger where {points})",
        ("event_id", "unit", "leg"),
        {key: row for key, row in ledger(world).items() if key[1] == "points"},
    )
    tallies = {id: world.people[id]["points_tally"] for id in world.present}
    balances = {row["customer_id"]: row["points_balance"] for row in store.dicts("from marts.dim_member")}
    assert balances == tallies
    [row] = store.dicts(
        f"select arg_max(closing, month) as closing from reports.rpt_points_rollforward where {points}"
    )
    assert row["closing"] == sum(tallies.values())
    months = {key: row for key, row in judge_points.rollforward(world).items() if key[1] == "points"}
    compare(store, f"(from reports.rpt_points_rollforward where {points})", ("month", "unit"), months)
    expected = {key: row for key, row in judge_lots.lots(world).items() if key[1] == "points"}
    compare(store, f"(from marts.fct_points_lot where {points})", ("event_id", "unit", "leg"), expected)
    days = {
        key: {name: value for name, value in row.items() if name != "credits_balance"}
        for key, row in judge_points.member_daily(world).items()
    }
    compare(store, "marts.fct_member_daily", ("customer_id", "local_day"), days)


def test_tally_rule_counting_revoked_entries_is_found(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "a.duckdb"
    shutil.copy(store.path, copy)
    sums = "select sum(points_diff) from rivo_raw.points_events as events where events.customer_id = customers.id"
    with duckdb.connect(str(copy)) as connection:
        connection.execute(f"update rivo_raw.customers as customers set points_tally = coalesce(({sums}), 0)")
        connection.execute(
            "update rivo_raw.customers_history as history set points_tally = customers.points_tally "
            "from rivo_raw.customers as customers where customers.id = history.id and history.valid_to is null"
        )
        assert all(node.is_good for node in build(connection, project(SELECTION)))
        found: Any = connection.execute(
            "select tally_rule, members_reconciled = members_compared from intermediate.int_tally_rule "
            "where unit = 'points'"
        ).fetchall()
        assert found == [("a", True)]
        legs = connection.execute("select distinct leg from marts.fct_points_ledger where unit = 'points'")
        assert legs.fetchall() == [("original",)]
        wrong = connection.execute(
            "select count(*) from marts.dim_member where points_balance <> points_tally"
        ).fetchone()
        assert wrong == (0,)


def test_entries_of_a_shop_without_approvals_all_count(store: Store, tmp_path: Path) -> None:
    """Most balances went to 0 without an entry, so a rule that counts nothing would fit them best."""
    copy = tmp_path / "approvals.duckdb"
    shutil.copy(store.path, copy)
    sums = (
        "select sum(points_diff) from rivo_raw.points_events as events "
        "where events.customer_id = customers.id and revoked_at is null"
    )
    with duckdb.connect(str(copy)) as connection:
        connection.execute("update rivo_raw.points_events set approved_at = null")
        connection.execute(
            "update rivo_raw.customers as customers "
            f"set points_tally = if(id % 3 = 0, coalesce(({sums}), 0), 0)"
        )
        connection.execute(
            "update rivo_raw.customers_history as history set points_tally = customers.points_tally "
            "from rivo_raw.customers as customers where customers.id = history.id and history.valid_to is null"
        )
        assert all(node.is_good for node in build(connection, project(SELECTION)))
        rule = connection.execute(
            "select tally_rule from intermediate.int_tally_rule where unit = 'points'"
        ).fetchall()
        kept = connection.execute(
            "select count(distinct event_id) = (select count(*) from rivo_raw.points_events where points_diff <> 0) "
            "from marts.fct_points_ledger where unit = 'points' and amount <> 0"
        ).fetchall()
    assert rule == [("b",)]
    assert kept == [(True,)]


def test_trust_report_warns_when_most_entries_do_not_count(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "hidden.duckdb"
    shutil.copy(store.path, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute("update rivo_raw.points_events set hidden = true")
        for table in ("customers", "customers_history"):
            connection.execute(f"update rivo_raw.{table} set points_tally = 0")
        assert all(node.is_good for node in build(connection, project(SELECTION)))
        [(status, share, finding)] = connection.execute(
            "select status, share, finding from reports.rpt_data_trust where check_name = 'entries_not_counted'"
        ).fetchall()
    assert (status, share > 0.9) == ("attention", True)
    assert "most of the ledger" in finding

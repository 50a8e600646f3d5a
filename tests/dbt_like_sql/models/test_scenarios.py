"""Small, odd and empty shops: every model must build with the right figures."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.runner import build
from sandbox import Program, ProgramOptions
from tests.dbt_like_sql.models.facts import World
from tests.dbt_like_sql.models.judge_ledger import members
from tests.dbt_like_sql.models.stores import LEDGER, STATES, open_observed_store
from tests.harness.report_page import ReportPage, read_page
from tests.harness.store import Store, project


def synced(
    options: ProgramOptions, folder: Path, lists: tuple[str, ...] = LEDGER, report: bool = False
) -> Store:
    """Return a store that was synced once, at its end, with all models, and is no longer served."""
    with open_observed_store(Program(options), folder) as store:
        store.options |= {"report": report}
        store.sync(*lists, at=options.end, models=True)
    return store


def report_of(store: Store) -> ReportPage:
    """Return the report page that the sync wrote."""
    assert store.finished
    assert store.finished.report == store.path.with_name("shop.report.html")
    return read_page(store.finished.report)


def assert_balances(store: Store) -> None:
    """Assert that the ledger adds up to the API's tally of each customer, and that none is missing."""
    expected = {
        id: (row["points_balance"], row["credits_balance"]) for id, row in members(World.of(store)).items()
    }
    rows = store.dicts("select customer_id, points_balance, credits_balance from marts.dim_member")
    assert {row["customer_id"]: (row["points_balance"], row["credits_balance"]) for row in rows} == expected


def test_empty_shop_builds_with_empty_reports(tmp_path: Path) -> None:
    store = synced(ProgramOptions(customers=0, tiers=False, months=1), tmp_path, report=True)
    tables = [
        f"{node.schema}.{node.name}"
        for node in store.nodes
        if node.name.startswith(("fct_", "dim_member", "rpt_")) and node.name != "rpt_data_trust"
    ]
    assert len(tables) >= 20
    assert store.rows_of(tables) == {table: [] for table in tables}
    trust = store.dicts("from reports.rpt_data_trust")
    assert {row["status"] for row in trust} == {"ok"}
    assert all(row["finding"] for row in trust)
    page = report_of(store)
    assert {name: value for name, value in page.numbers.items() if value} == {"trust.checks": len(trust)}
    assert "no members yet" in page.sections["Members"]
    assert "No points moved" in page.html
    assert "The shop has no VIP tiers" in page.html
    assert "No points have a date of expiry" in page.sections["To do now"]


@pytest.mark.parametrize(("seed", "members"), [(3, 0), (10, 1)], ids=["guest", "member"])
def test_shop_of_one_customer_is_counted_once(tmp_path: Path, seed: int, members: int) -> None:
    store = synced(ProgramOptions(seed=seed, customers=1, months=8), tmp_path, report=True)
    assert_balances(store)
    [day] = store.dicts("from reports.rpt_tier_distribution")
    [member] = store.dicts("from marts.dim_member")
    assert (day["members"], day["share"], day["points_outstanding"]) == (1, 1, member["points_balance"])
    [cell] = store.dicts("from reports.rpt_tier_migration")
    assert (cell["period_type"], cell["members"], cell["share"]) == ("to_date", 1, 1)
    assert store.dicts("from marts.fct_tier_change") == []
    assert len(store.dicts("from marts.fct_member_daily")) == 1
    for report in ("rpt_member_rfm", "rpt_member_funnel", "rpt_near_next_tier"):
        assert len(store.dicts(f"from reports.{report}")) == members, report
    daily = store.dicts("from reports.rpt_program_daily where unit = 'points'")
    assert [(row["members_start"], row["members_end"]) for row in daily] == [(None, 1)] * members
    # On the first day, a month that has ended is shown, with what is known of it, and the members of today.
    page = report_of(store)
    assert "tile.members" not in page.numbers
    assert page.numbers.get("tile.members.now") == (1 if members else None)
    assert "tile.points_outstanding" in page.numbers
    assert "Orders are known from the first full month after the first sync" in page.html


def test_shop_without_tiers_builds(tmp_path: Path) -> None:
    store = synced(ProgramOptions(customers=12, months=6, tiers=False), tmp_path, report=True)
    assert_balances(store)
    states = {row["state"] for row in store.dicts("from reports.rpt_tier_distribution")}
    assert states == {"no_tier", "not_member"}
    assert {row["tier_id"] for row in store.dicts("from marts.dim_member")} == {None}
    assert {row["tier_id_at_entry"] for row in store.dicts("from marts.fct_points_ledger")} == {None}
    assert store.dicts("from reports.rpt_near_next_tier") == []
    [trust] = store.dicts("from reports.rpt_data_trust where check_name = 'near_next_tier'")
    assert (trust["status"], trust["share"]) == ("ok", None)
    assert "no tiers" in trust["finding"]
    page = report_of(store)
    assert "The shop has no VIP tiers" in page.html
    assert not any(name.startswith(("tier.", "matrix.", "todo.near", "todo.tier")) for name in page.numbers)
    assert page.numbers["month.2026-09-01.points_issued"] > 0


def test_next_tier_falls_back_to_points_when_no_member_has_a_tier(tmp_path: Path) -> None:
    options = ProgramOptions(customers=12, months=6)
    with open_observed_store(Program(options), tmp_path) as store:
        store.sync(*LEDGER, at=options.end)
    with duckdb.connect(str(store.path)) as connection:
        for table in ("vip_tiers", "vip_tiers_history"):
            connection.execute(f"update rivo_raw.{table} set threshold = 1_000_000 + id % 1000")
        for table in ("customers", "customers_history"):
            connection.execute(f"update rivo_raw.{table} set vip_tier_id = null")
        connection.execute("update rivo_raw.customers set vip_tier = null")
        nodes = build(connection, project(), as_of=options.end)
        wrong = [node.message for node in nodes if node.status != "success"]
        assert wrong == []
    [measure] = store.dicts("from intermediate.int_tier_progress_measure")
    assert (measure["measure"], measure["share_agreeing"]) == ("points_365_days", 1)
    assert store.dicts("from reports.rpt_near_next_tier")
    [trust] = store.dicts("from reports.rpt_data_trust where check_name = 'near_next_tier'")
    assert trust["status"] == "attention"
    assert "program_settings" in trust["finding"]


@pytest.fixture(scope="module")
def credits_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    options = ProgramOptions(customers=40, months=6, credits_only=True, unknown_source=True)
    return synced(options, tmp_path_factory.mktemp("credits"))


def test_shop_of_credits_only_has_no_points(credits_store: Store) -> None:
    assert_balances(credits_store)
    rows = credits_store.dicts("from marts.fct_points_ledger")
    assert {row["unit"] for row in rows} == {"credits"}
    sums = "points_balance, points_issued_lifetime, points_redeemed_lifetime, points_expired_lifetime"
    assert {tuple(row.values()) for row in credits_store.dicts(f"select {sums} from marts.dim_member")} == {
        (0, 0, 0, 0)
    }
    assert {
        row["points_outstanding"] for row in credits_store.dicts("from reports.rpt_tier_distribution")
    } == {0}
    spent = credits_store.dicts("from marts.fct_redemption")
    assert spent
    assert all(row["points_spent"] == 0 and row["redemption_value"] == row["credits_spent"] for row in spent)


def test_unknown_source_is_unclassified_and_reported(credits_store: Store) -> None:
    events = credits_store.observations[-1].lists["points_events"]
    spins = {row["id"] for row in events if row["attributes"]["source"] == "gamification_spin"}
    assert spins
    rows = credits_store.dicts("from marts.fct_points_ledger where entry_class = 'unclassified'")
    assert {row["event_id"] for row in rows} == spins
    assert {(row["source"], row["earn_basis"]) for row in rows} == {("gamification_spin", None)}
    [warning] = [
        test for node in credits_store.nodes for test in node.tests if test.name == "sources_are_classified"
    ]
    assert (warning.status, warning.failures) == ("warn", 1)
    assert "gamification_spin" in warning.message
    [trust] = credits_store.dicts("from reports.rpt_data_trust where check_name = 'unclassified_sources'")
    assert (trust["status"], trust["answer"]) == ("attention", "gamification_spin")
    assert trust["affected"] == len(rows)


def test_tier_with_deleted_at_is_closed(tmp_path: Path) -> None:
    options = ProgramOptions(seed=8, customers=30, months=6)
    program = Program(options)
    platinum, day = 552_340, timedelta(days=1)
    deleted_at = options.end - 3 * day
    program.override("vip_tiers", platinum, at=deleted_at, deleted_at=deleted_at)
    selection = "+dim_tier +rpt_near_next_tier"
    with open_observed_store(program, tmp_path, selection=selection) as store:
        store.sync(*STATES, at=options.end - 7 * day)
        store.sync(*LEDGER, at=options.end, models=True)
    [version] = store.dicts(f"from marts.dim_tier where tier_id = {platinum} and not is_current")
    assert version["valid_to"] == options.end
    assert not store.dicts(f"from marts.dim_tier where tier_id = {platinum} and is_current")
    assert not store.dicts(f"from reports.rpt_near_next_tier where next_tier_id = {platinum}")


def test_tier_gets_a_version_only_when_it_changes(tmp_path: Path) -> None:
    options = ProgramOptions(seed=8, customers=10, months=6)
    program, day = Program(options), timedelta(days=1)
    first = options.end - 9 * day
    ids = [tier["id"] for tier in program.snapshot(first)["vip_tiers"]]
    [bronze, silver, gold, platinum] = ids
    program.override("vip_tiers", silver, at=first + day, name="Argent")
    program.override("vip_tiers", gold, at=first + 2 * day, threshold=1_200)
    program.remove("vip_tiers", bronze, at=first + 3 * day)
    program.restore("vip_tiers", bronze, at=first + 4 * day)
    with open_observed_store(program, tmp_path, selection="+dim_tier") as store:
        for n in range(5):
            store.sync("vip_tiers", at=first + n * day)
        store.sync(*STATES, at=options.end, models=True)
    rows = store.dicts("from marts.dim_tier order by tier_id, valid_from")
    versions = {
        id: [
            (row["tier_name"], row["tier_rank"], (row["valid_from"] - first).days, row["is_current"])
            for row in rows
            if row["tier_id"] == id
        ]
        for id in ids
    }
    assert [row[1:] for row in versions[bronze]] == [(1, 0, False), (1, 4, True)]
    assert [row[0] for row in versions[silver]] == ["Sterling", "Argent", "Argent", "Argent"]
    assert [row[1:] for row in versions[silver]] == [
        (2, 0, False),
        (2, 1, False),
        (1, 3, False),
        (2, 4, True),
    ]
    assert [row[1:] for row in versions[gold]] == [(3, 0, False), (3, 2, False), (2, 3, False), (3, 4, True)]
    assert [row[1:] for row in versions[platinum]] == [(4, 0, False), (3, 3, False), (4, 4, True)]
    [gone] = store.dicts(
        f"select max(valid_to) as at from marts.dim_tier where tier_id = {bronze} and not is_current"
    )
    assert gone["at"] == first + 3 * day


def test_unlisted_tier_takes_its_name_from_its_members(tmp_path: Path) -> None:
    options = ProgramOptions(seed=8, customers=30, months=6)
    program, day = Program(options), timedelta(days=1)
    first = options.end - 2 * day
    held = [row for row in program.snapshot(first)["customers"] if row["attributes"]["vip_tier"]]
    low, high = (
        sorted(held, key=lambda row: row["attributes"]["vip_tier"]["threshold"])[at] for at in (0, -1)
    )
    card = {"id": 999_001, "name": "Founders", "threshold": high["attributes"]["vip_tier"]["threshold"] + 1}
    for row in (low, high):
        program.override("customers", row["id"], at=options.end, vip_tier=card)
    selection = "+fct_tier_change +dim_member +rpt_near_next_tier +rpt_data_trust"
    with open_observed_store(program, tmp_path, selection=selection) as store:
        store.sync(*STATES, at=first)
        store.sync(*STATES, at=options.end, models=True)
    moves = store.dicts("from marts.fct_tier_change where to_tier_id = 999001 order by customer_id")
    assert {row["customer_id"] for row in moves} == {low["id"], high["id"]}
    assert [(row["to_state"], row["direction"]) for row in moves] == [("Founders", "upgrade")] * 2
    assert {row["tier_name"] for row in store.dicts("from marts.dim_member where tier_id = 999001")} == {
        "Founders"
    }
    assert not store.dicts("from reports.rpt_near_next_tier where current_tier_id = 999001")
    [trust] = store.dicts("from reports.rpt_data_trust where check_name = 'tiers_not_listed'")
    assert (trust["status"], trust["answer"]) == ("attention", "999001")


def test_second_sync_within_a_second_decides_the_trust_report(tmp_path: Path) -> None:
    options = ProgramOptions(seed=8, customers=20, months=4)
    reported = (
        "select check_name, status, affected from reports.rpt_data_trust where check_name = 'lists_failed'"
    )
    with open_observed_store(Program(options), tmp_path, selection="+rpt_data_trust") as store:
        for lists, status in (("rewards", "attention"), ("", "ok")):
            faults = [f"http_404:{lists}"] if lists else []
            store.sync(*LEDGER, "rewards", at=options.end, models=True, faults=faults)
            assert store.dicts(reported) == [
                {"check_name": "lists_failed", "status": status, "affected": int(bool(lists))}
            ]
        warned = [test.name for node in store.nodes for test in node.tests if test.status == "warn"]
    assert not [name for name in warned if "sync_log" in name]

"""Tiers at risk, and the migration before the first sync, on shops that earn tiers by different measures."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sandbox import Program, ProgramOptions
from tests.dbt_like_sql.models import judge_tier_outlook
from tests.dbt_like_sql.models.facts import World
from tests.dbt_like_sql.models.judge_members import DATED_MEASURES, tier_earnings, tier_progress
from tests.dbt_like_sql.models.stores import LEDGER, STATES, open_observed_store
from tests.dbt_like_sql.models.test_judged import compare
from tests.harness.store import Observation, Store, open_store

SELECTION = "+rpt_tier_at_risk +rpt_tier_migration_inferred +int_trust_tiers"
SILVER, GOLD, PLATINUM = 552_288, 552_301, 552_340
CELL = ("period_start", "from_state", "from_tier_id", "to_state", "to_tier_id")


def chosen(store: Store) -> dict[str, Any]:
    [row] = store.dicts("from intermediate.int_tier_progress_measure")
    return row


def trust(store: Store) -> dict[str, Any]:
    [row] = store.dicts("from intermediate.int_trust_tiers where check_name = 'inferred_migration'")
    return row


# -- shops that earn tiers by other measures ----------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A shop whose members hold the tiers that a measure leads to, and that is synced once."""

    measure: str
    end: datetime = datetime(2026, 10, 5, 6, tzinfo=UTC)
    timezone: str = "UTC"
    thresholds: tuple[int, ...] = ()


CASES = (
    Case("points_365_days_and_manual", timezone="America/New_York"),
    # In the night of 21 November in Kolkata: the year ends between 30 and 60 days later.
    Case("points_this_year", end=datetime(2026, 11, 20, 20, tzinfo=UTC), timezone="Asia/Kolkata"),
    Case("points_lifetime", thresholds=(200, 500, 1_500, 1_500)),
    Case("orders_365_days", thresholds=(1, 3, 6, 12)),
    Case("spend_lifetime"),
)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.measure)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    case: Case = request.param
    program = Program(ProgramOptions(seed=5, customers=90, months=18, end=case.end))
    _unsettle(program, case)
    _grant(program, case)
    folder = tmp_path_factory.mktemp(case.measure)
    with open_observed_store(program, folder, case.timezone, SELECTION) as store:
        store.sync(*LEDGER, at=case.end, models=True)
    return store


def _unsettle(program: Program, case: Case) -> None:
    """Revoke points given manually, revoke an old order late, and let a guest join at an unknown time."""
    lists = program.snapshot(case.end)
    events = [(row["id"], row["attributes"]) for row in lists["points_events"]]
    given = [id for id, attrs in events if attrs["source"] == "manual" and attrs["points_diff"] > 0]
    ordered = [id for id, attrs in events if attrs["source"] == "order_placed" and attrs["points_diff"] > 0]
    for id in (given[len(given) // 2], ordered[0]):
        program.override("points_events", id, at=case.end, revoked_at=case.end - timedelta(days=40))
    customers = {attrs["customer"]["id"] for _, attrs in events}
    guest = next(row["id"] for row in lists["customers"] if row["id"] not in customers)
    changes = {"loyalty_status": "member", "loyalty_status_last_changed_at": None}
    program.override("customers", guest, at=case.end, **changes)


def _grant(program: Program, case: Case) -> None:
    """Give each member the tier that the measure leads to, of tiers with equal thresholds the first."""
    at = case.end
    for row, threshold in zip(program.snapshot(at)["vip_tiers"], case.thresholds, strict=False):
        program.override("vip_tiers", row["id"], at=at, threshold=threshold)
    lists = program.snapshot(at)
    world = World([Observation(at, lists)], ZoneInfo(case.timezone))
    tiers = [(row["attributes"]["threshold"], -row["id"], row["attributes"]) for row in lists["vip_tiers"]]
    for (id, measure), row in tier_progress(world).items():
        if measure == case.measure:
            reached = [tier for tier in tiers if tier[0] <= row["progress"]]
            held = max(reached, key=lambda tier: tier[:2])[2] if reached else None
            program.override("customers", id, at=at, vip_tier=held)


def test_measure_of_the_shop_is_found(shop: Store, request: pytest.FixtureRequest) -> None:
    rule = chosen(shop)
    assert request.node.callspec.id == rule["measure"]
    assert (rule["share_agreeing"], rule["is_dated"]) == (1, rule["measure"] in DATED_MEASURES)
    compare(shop, "intermediate.int_tier_progress", ("customer_id", "measure"), tier_progress(World.of(shop)))


def test_tiers_at_risk_equal_the_judge_for_each_measure(shop: Store) -> None:
    measure = chosen(shop)["measure"]
    expected = judge_tier_outlook.at_risk(World.of(shop), measure)
    if "lifetime" in measure:
        assert expected == {}
    else:
        risks = Counter((days, row["is_at_risk"]) for (_, days), row in expected.items())
        assert risks[90, True] > risks[30, True]
        assert (risks[90, False] > 0) == (measure != "points_this_year")
        assert {row["tier_id"] for row in expected.values()} >= {GOLD, PLATINUM}
    compare(shop, "reports.rpt_tier_at_risk", ("customer_id", "horizon_days"), expected)


def test_inferred_migration_equals_the_judge_for_each_measure(shop: Store) -> None:
    measure, world = chosen(shop)["measure"], World.of(shop)
    expected = judge_tier_outlook.inferred_migration(world, measure)
    if measure == "spend_lifetime":
        assert expected == {}
    else:
        directions = {row["direction"] for row in expected.values()}
        assert directions >= {"enter", "unchanged", "upgrade"}
        assert len({month for month, *_ in expected}) >= 16
    compare(shop, "reports.rpt_tier_migration_inferred", CELL, expected)


def test_trust_says_why_the_inferred_migration_is_empty(shop: Store) -> None:
    row, measure = trust(shop), chosen(shop)["measure"]
    months = {row["period_start"] for row in shop.dicts("from reports.rpt_tier_migration_inferred")}
    assert (row["answer"], row["share"]) == (measure, 1)
    if measure == "spend_lifetime":
        assert (row["status"], len(months)) == ("note", 0)
        assert "a total of Shopify's" in row["finding"]
    else:
        assert row["status"] == "ok"
        assert f"shows {len(months)} months" in row["finding"]
        assert f"{min(months):%Y-%m} to {max(months):%Y-%m}" in row["finding"]


def test_members_with_an_unknown_date_of_joining_are_not_replayed(shop: Store) -> None:
    unknown = "select customer_id from marts.dim_member where is_member and joined_at is null"
    [(member,)] = shop.query(unknown)
    assert shop.query("select * from intermediate.int_tier_replay where customer_id = ?", member) == []


# -- the proof: months that were both observed and inferred ---------------------------------------------

OBSERVED = tuple(datetime(2026, month, 1, tzinfo=UTC) for month in range(6, 11))


@dataclass(frozen=True)
class Proof:
    """A store of two years that one warehouse observed each month, and another only on the last day."""

    program: Program
    observed: Store
    inferred: Store

    @property
    def world(self) -> World:
        """What the second warehouse saw."""
        end = self.program.options.end
        return World([Observation(end, self.program.snapshot(end))], ZoneInfo("UTC"))

    def shares(self, first: datetime, last: datetime) -> tuple[float, Counter[tuple[Any, Any]]]:
        """Return the share of members whose tier is the replayed one at the starts of months, and the differences."""
        stays = self.inferred.dicts("from intermediate.int_tier_replay")
        pairs: Counter[tuple[Any, Any]] = Counter()
        at = first
        while at <= last:
            day = at.date() - timedelta(days=1)
            replayed = {
                stay["customer_id"]: stay["tier_id"]
                for stay in stays
                if stay["first_day"] <= day and (stay["last_day"] is None or day <= stay["last_day"])
            }
            for row in self.program.snapshot(at)["customers"]:
                if row["attributes"]["loyalty_status"] == "member" and row["id"] in replayed:
                    held = (row["attributes"]["vip_tier"] or {}).get("id")
                    pairs[held, replayed[row["id"]]] += 1
            at = (at + timedelta(days=31)).replace(day=1)
        wrong = Counter({pair: count for pair, count in pairs.items() if pair[0] != pair[1]})
        return 1 - wrong.total() / pairs.total(), wrong


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    program = Program(ProgramOptions(seed=7, customers=150, months=24))
    path = tmp_path_factory.mktemp("observed") / "observed" / "shop.duckdb"
    with open_store(path, program, selection="+rpt_tier_migration") as observed:
        for at in OBSERVED:
            observed.sync(*STATES, at=at)
        observed.sync(*LEDGER, at=program.options.end, models=True)
        inferred = observed.with_warehouse("inferred")
        inferred.selection = SELECTION
        inferred.sync(*LEDGER, at=program.options.end, models=True)
    return Proof(program, observed, inferred)


def _cells(rows: list[dict[str, Any]]) -> dict[Any, Counter[tuple[str, str]]]:
    """Return members by month and the two states; those who were not members or not known are 'outside'."""
    names = dict.fromkeys(("(joined)", "(left)", "not_member"), "outside")
    found: dict[Any, Counter[tuple[str, str]]] = defaultdict(Counter)
    for row in rows:
        cell = tuple(names.get(row[name], row[name]) for name in ("from_state", "to_state"))
        if cell != ("outside", "outside"):
            found[row["period_start"]][cell] += row["members"]
    return found


def test_inferred_months_agree_with_the_observed_ones(proof: Proof) -> None:
    """The thresholds do not change in these months."""
    whole = "where period_type = 'month' and is_complete"
    observed = _cells(proof.observed.dicts(f"from reports.rpt_tier_migration {whole}"))
    inferred = _cells(proof.inferred.dicts("from reports.rpt_tier_migration_inferred"))
    assert list(observed) == [at.date() for at in OBSERVED[:-1]]
    moved = {cell for cells in observed.values() for cell in cells if cell[0] != cell[1]}
    assert {("Bronze", "Sterling"), ("Sterling", "Bronze"), ("outside", "no_tier")} <= moved
    for month, cells in observed.items():
        wrong = sum(abs(cells[cell] - inferred[month][cell]) for cell in cells | inferred[month]) / 2
        assert 1 - wrong / cells.total() >= 0.95, (month, cells, inferred[month])


def test_inferred_tiers_are_those_that_members_held(proof: Proof) -> None:
    """At the start of each of the last fifteen months. Tiers fall in the night after points have dropped out."""
    share, wrong = proof.shares(datetime(2025, 8, 1, tzinfo=UTC), OBSERVED[-1])
    assert share >= 0.99, wrong


def test_inferred_tiers_before_a_change_of_thresholds_are_by_the_new_ones(proof: Proof) -> None:
    """Gold was raised from 1,200 to 1,500 points on 12 May 2025, after seven months."""
    share, wrong = proof.shares(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 5, 1, tzinfo=UTC))
    assert 0.9 < share < 0.99
    assert wrong[GOLD, SILVER] == wrong.total()


def test_inferred_migration_of_the_proof_equals_the_judge(proof: Proof) -> None:
    assert chosen(proof.inferred)["measure"] == "points_365_days"
    expected = judge_tier_outlook.inferred_migration(proof.world, "points_365_days")
    assert {row["direction"] for row in expected.values()} == {"enter", "unchanged", "upgrade", "downgrade"}
    compare(proof.inferred, "reports.rpt_tier_migration_inferred", CELL, expected)
    expected = judge_tier_outlook.at_risk(proof.world, "points_365_days")
    compare(proof.inferred, "reports.rpt_tier_at_risk", ("customer_id", "horizon_days"), expected)


def test_revoked_points_drop_out_with_the_points_that_they_cancel(proof: Proof) -> None:
    """Some points older than a year were revoked within the last year."""
    today, year = proof.world.day(proof.world.now), timedelta(days=365)
    late = {
        earning.customer_id
        for earning in tier_earnings(proof.world)["points"]
        if earning.counts_from > earning.earned_on
        and earning.earned_on + year <= today < earning.counts_from + year
    }
    assert late
    expected = tier_progress(proof.world)
    for id in late:
        sums = "select progress from intermediate.int_tier_progress where customer_id = ? and measure = ?"
        [(progress,)] = proof.inferred.query(sums, id, "points_365_days")
        assert progress == expected[id, "points_365_days"]["progress"]

"""Prices and months of rewards that the simulated stores do not have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from sandbox import DEFAULT_END, Program, ProgramOptions
from tests.dbt_like_sql.models import judge_rewards
from tests.dbt_like_sql.models.facts import World
from tests.dbt_like_sql.models.stores import LEDGER, open_observed_store
from tests.dbt_like_sql.models.test_judged import compare
from tests.harness.store import Store

END = DEFAULT_END
FIRST = END - timedelta(days=75)
MIDDLE = END - timedelta(days=40)
FIVE, TEN, QUARTER, SHIPPING, SLIDER, ADVOCATE, SWAP, GIFT = (
    594_100,
    594_112,
    594_125,
    594_140,
    594_170,
    594_176,
    594_182,
    594_196,
)
UNUSED = 700_001


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    program = Program(ProgramOptions(seed=5, customers=60, months=6))
    before = FIRST - timedelta(days=1)
    terms = {"name": "Sample box", "reward_type": "free_product", "points_amount": 5_000}
    terms |= {
        "created_at": FIRST - timedelta(days=100),
        "enabled": True,
        "source": "points",
        "points_type": "fixed",
    }
    program.insert("rewards", terms, at=before, id=UNUSED)
    program.override("rewards", UNUSED, at=MIDDLE - timedelta(days=1), enabled=False)
    program.override("rewards", SLIDER, at=before, points_amount=10, min_points_to_redeem_value=130)
    program.override("rewards", TEN, at=before, points_amount=100)
    program.override("rewards", QUARTER, at=before, points_amount=0)
    program.override("rewards", SHIPPING, at=before, enabled=False)
    program.override("rewards", SHIPPING, at=MIDDLE - timedelta(days=1), enabled=True)
    program.override("rewards", GIFT, at=before, source=None)
    program.override("rewards", SWAP, at=MIDDLE - timedelta(days=1), name="Points into credit")
    program.remove("rewards", SWAP, at=END - timedelta(days=1))
    folder, selection = tmp_path_factory.mktemp("rewards"), "+rpt_reward_reach +rpt_reward_cost"
    with open_observed_store(program, folder, "America/New_York", selection) as store:
        for at in (FIRST, MIDDLE):
            store.sync("rewards", "customers", at=at)
        store.sync(*LEDGER, "rewards", at=END, models=True)
        yield store


def months(store: Store, reward: int) -> set[date]:
    rows = store.dicts(
        f"select month from reports.rpt_reward_cost where reward_id = {reward} and codes_used = 0"
    )
    return {row["month"] for row in rows}


def test_reports_on_rewards_equal_the_judge(store: Store) -> None:
    world = World.of(store)
    expected = judge_rewards.reach(world, world.observations[-1].lists["rewards"])
    compare(store, "reports.rpt_reward_reach", ("customer_id",), expected)
    compare(
        store,
        "reports.rpt_reward_cost",
        ("month", "reward_id"),
        judge_rewards.cost(world, world.observations),
    )


def test_prices_are_those_of_rewards_that_points_can_buy_now(store: Store) -> None:
    rows = store.dicts("from intermediate.int_reward_prices where price <= 1000 order by price")
    # The slider by its minimum, not by an increment. Free, disabled, deleted and referral rewards have no price.
    assert [(row["price"], row["reward_id"], row["rewards"]) for row in rows] == [
        (100, FIVE, 2),
        (130, SLIDER, 1),
        (150, SHIPPING, 1),
        (1_000, GIFT, 1),
    ]


def test_unused_reward_costs_nothing_in_each_month_in_which_it_was_enabled(store: Store) -> None:
    first, last = (FIRST - timedelta(days=100)).date().replace(day=1), MIDDLE.date().replace(day=1)
    got = months(store, UNUSED)
    assert (min(got), max(got)) == (first, last)
    assert len(got) == (last.year - first.year) * 12 + last.month - first.month + 1
    # Before it was enabled, only the months in which codes were used.
    assert min(months(store, SHIPPING), default=last) >= last


def test_cost_of_rewards_given_for_referrals_is_unknown(store: Store) -> None:
    rows = store.dicts(f"from reports.rpt_reward_cost where reward_id = {ADVOCATE}")
    assert rows
    assert {(row["codes_used"], row["value_used"], row["points_spent"]) for row in rows} == {
        (None, None, None)
    }


def test_deleted_reward_has_its_last_known_name(store: Store) -> None:
    rows = store.dicts(f"select distinct reward_name from reports.rpt_reward_cost where reward_id = {SWAP}")
    assert rows == [{"reward_name": "Points into credit"}]

"""The reports on rewards, first steps, manual adjustments and referrals equal naive computations."""

from __future__ import annotations

from tests.dbt_like_sql.models import judge_rewards, judge_staff_and_referrals
from tests.dbt_like_sql.models.facts import World
from tests.dbt_like_sql.models.test_judged import compare
from tests.harness.store import Observation, Store


def with_rewards(store: Store, world: World) -> list[Observation]:
    """Return the observations at which the rewards were read; two of the three stores never read them."""
    log = store.dicts("select observed_at from rivo_raw.sync_log where list = 'rewards' and complete")
    times = {row["observed_at"] for row in log}
    return [observation for observation in world.observations if observation.at in times]


def test_rpt_reward_reach_equals_the_judge(store: Store, world: World) -> None:
    observed = with_rewards(store, world)
    expected = judge_rewards.reach(world, observed[-1].lists["rewards"] if observed else [])
    assert {row["has_ever_redeemed"] for row in expected.values()} == {True, False}
    if observed:
        assert {row["can_redeem"] for row in expected.values()} == {True, False}
        assert {row["next_reward"] is None for row in expected.values()} == {True, False}
    compare(store, "reports.rpt_reward_reach", ("customer_id",), expected)


def test_rpt_reward_cost_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_rewards.cost(world, with_rewards(store, world))
    assert any(row["codes_used"] and row["value_used"] is None for row in expected.values())
    assert any(row["value_of_refunded"] for row in expected.values())
    assert any(row["codes_used"] == 0 for row in expected.values()) == bool(with_rewards(store, world))
    compare(store, "reports.rpt_reward_cost", ("month", "reward_id"), expected)


def test_rpt_time_to_first_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_rewards.time_to_first(world)
    assert {row["km_share_90d"] is None for row in expected.values()} == {True, False}
    assert all(
        any(row["censored"] for (_, of), row in expected.items() if of == event) for _, event in expected
    )
    compare(store, "reports.rpt_time_to_first", ("join_quarter", "event"), expected)


def test_rpt_manual_adjustments_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_staff_and_referrals.adjustments(world)
    assert {row["amount"] > 0 for row in expected.values()} == {True, False}
    assert len({row["agent_key"] for row in expected.values()}) > 1
    compare(store, "reports.rpt_manual_adjustments", ("event_id", "unit"), expected)


def test_rpt_referral_quality_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_staff_and_referrals.referral_quality(world)
    assert any(row["blocked_same_ip"] for row in expected.values())
    assert any(row["friends_with_second_order"] for row in expected.values())
    compare(store, "reports.rpt_referral_quality", ("customer_id",), expected)

"""Each mart and report equals a naive computation from the API's own answers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from tests.dbt_like_sql.models import (
    judge_expiry,
    judge_ledger,
    judge_liability,
    judge_lots,
    judge_members,
    judge_points,
    judge_program,
    judge_rates,
    judge_rewards,
    judge_staff_and_referrals,
    judge_tier_outlook,
    judge_tiers,
)
from tests.dbt_like_sql.models.facts import World
from tests.harness.store import Observation, Store, project

Expected = dict[Any, dict[str, Any]]


def compare(store: Store, table: str, key: tuple[str, ...], expected: Expected) -> None:
    """Assert that a table has exactly these keys, and these values in the given columns."""
    rows = store.dicts(f"select * from {table}")
    single = len(key) == 1
    got = {row[key[0]] if single else tuple(row[name] for name in key): row for row in rows}
    assert len(got) == len(rows), f"{table}: rows share a key"
    missing, surplus = sorted(map(str, expected.keys() - got)), sorted(map(str, got.keys() - expected))
    assert (missing[:5], surplus[:5]) == ([], []), f"{table}: {len(missing)} missing, {len(surplus)} surplus"
    wrong = [
        (place, name, value, got[place][name])
        for place, columns in expected.items()
        for name, value in columns.items()
        if not _same(got[place][name], value)
    ]
    assert not wrong, f"{table}: {len(wrong)} values differ (key, column, expected, got): {wrong[:6]}"


def _same(got: Any, expected: Any) -> bool:
    if isinstance(expected, timedelta):
        return got is not None and abs(timedelta(hours=got) - expected) <= timedelta(seconds=1)
    if isinstance(expected, float) and got is not None and not isinstance(got, Decimal):
        return bool(got == pytest.approx(expected))
    return bool(got == expected)


def test_tests_of_a_table_can_share_a_scan(store: Store) -> None:
    with store.warehouse.read() as connection:
        for node in project().nodes.values():
            tests = [t for t in project().tests_of(node.name) if t.passes_if and t.severity == "error"]
            if tests:
                passes = ", ".join(test.passes_if for test in tests)
                [found] = connection.execute(f"select {passes} from {node.relation}").fetchall()
                assert all(found), node.relation


def test_fct_points_ledger_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_ledger.ledger(world)
    assert expected
    compare(store, "marts.fct_points_ledger", ("event_id", "unit", "leg"), expected)


def test_fct_redemption_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_ledger.redemptions(world)
    assert {row["status"] for row in expected.values()} >= {"revoked", "used", "open"}
    compare(store, "marts.fct_redemption", ("redemption_id",), expected)


def test_fct_tier_change_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_tiers.changes(world)
    assert {row["direction"] for row in expected.values()} >= {"upgrade", "downgrade", "leave"}
    compare(store, "marts.fct_tier_change", ("customer_id", "changed_by"), expected)


def test_tier_changes_are_structural_when_thresholds_changed(store: Store, world: World) -> None:
    changed = {
        later.at
        for earlier, later in pairwise(world.observations)
        if world.thresholds_on(earlier) != world.thresholds_on(later)
    }
    rows = [row for row in store.dicts("from marts.fct_tier_change") if row["changed_by"] in changed]
    assert rows
    assert all(row["is_structural"] for row in rows)


def test_rpt_tier_migration_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_tiers.migration(world)
    key = ("period_type", "period_start", "from_state", "from_tier_id", "to_state", "to_tier_id")
    compare(store, "reports.rpt_tier_migration", key, expected)


def test_rpt_tier_distribution_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_tiers.distribution(world)
    compare(store, "reports.rpt_tier_distribution", ("local_day", "state", "tier_id"), expected)


def test_rpt_redemption_rates_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_rates.rates(world)
    known = [row["reward_use_rate"] for row in expected.values() if row["reward_use_rate"] is not None]
    assert bool(known) == (len(list(world.days())) > 200)
    key = ("period_type", "period_start", "segment", "segment_tier_id")
    compare(store, "reports.rpt_redemption_rates", key, expected)


def test_dim_member_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_ledger.members(world)
    known = {row["id"] for seen in world.observations for row in seen.lists["customers"]}
    gone = known - expected.keys()
    for id, at in judge_members.joined(world).items():
        expected.get(id, {})["joined_at"] = at
    assert gone
    expected |= {id: {"is_deleted": True, "tier_id": None} for id in gone}
    compare(store, "marts.dim_member", ("customer_id",), expected)


def test_rpt_tier_movement_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_tiers.movement(world)
    compare(store, "reports.rpt_tier_movement", ("month", "tier_id"), expected)


def test_rpt_ledger_reconciliation_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_points.reconciliation(world)
    for row in expected.values():
        row |= {"tally_rule": "b", "ledger_balance": row["tally"], "diff": 0, "reason": None}
    table = "(from reports.rpt_ledger_reconciliation where tally is not null)"
    compare(store, table, ("customer_id", "unit"), expected)
    trust = {row["check_name"]: row for row in store.dicts("from reports.rpt_data_trust")}
    members = sum(row["is_member"] for (_, unit), row in expected.items() if unit == "points")
    assert trust["members_reconciled_points"]["affected"] == members
    assert trust["ledger_rule_points"]["answer"] == trust["ledger_rule_credits"]["answer"] == "b"
    seen = {world.day(observation.at) for observation in world.observations}
    assert trust["days_without_sync"]["affected"] == len(set(world.days()) - seen)
    attention = {name for name, row in trust.items() if row["status"] == "attention"}
    assert attention <= {"near_next_tier"}


def test_rpt_points_rollforward_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_points.rollforward(world)
    compare(store, "reports.rpt_points_rollforward", ("month", "unit"), expected)


def test_fct_member_daily_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_points.member_daily(world)
    compare(store, "marts.fct_member_daily", ("customer_id", "local_day"), expected)


def test_rpt_program_daily_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_points.program_daily(world)
    compare(store, "reports.rpt_program_daily", ("local_day", "unit"), expected)


def test_fct_points_lot_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_lots.lots(world)
    assert {row["remaining"] == row["issued"] for row in expected.values()} == {True, False}
    compare(store, "marts.fct_points_lot", ("event_id", "unit", "leg"), expected)


def test_fct_points_allocation_equals_the_judge(store: Store, world: World) -> None:
    expected = {
        ("-".join(map(str, lot)), "-".join(map(str, debit))): row
        for (lot, debit), row in judge_lots.allocations(world).items()
    }
    assert {row["kind"] for row in expected.values()} == {"redeemed", "expired", "reversed"}
    assert {row["basis"] for row in expected.values()} == {"named", "fifo"}
    compare(store, "marts.fct_points_allocation", ("lot_entry_id", "debit_entry_id"), expected)


def test_fct_member_span_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_points.member_spans(world)
    compare(store, "marts.fct_member_span", ("customer_id", "first_day"), expected)


def test_fct_spending_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_program.spending(world)
    assert any(row["spent"] < 0 for row in expected.values())
    compare(store, "marts.fct_spending", ("customer_id", "observed_by"), expected)


def test_rpt_segment_performance_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_program.segments(world)
    assert {segment for _, _, segment, _ in expected} >= {"not_member", "no_tier", "redeemer", "not_redeemer"}
    assert any(row["aov"] for row in expected.values())
    key = ("month", "comparison", "segment", "segment_tier_id")
    compare(store, "reports.rpt_segment_performance", key, expected)


def test_rpt_program_monthly_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_program.months(world)
    assert any(row["referrals_completed"] for row in expected.values())
    assert any(row["members_end"] for row in expected.values())
    compare(store, "reports.rpt_program_monthly", ("month",), expected)


def test_rpt_reward_performance_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_points.rewards(world, judge_rewards.reward_months(world, with_rewards(store, world)))
    assert any(row["claims"] == 0 for row in expected.values())
    compare(store, "reports.rpt_reward_performance", ("month", "reward_id"), expected)


def test_rpt_earning_rule_performance_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_points.earning_rules(world)
    key = ("month", "earning_rule_id", "source")
    compare(store, "reports.rpt_earning_rule_performance", key, expected)


def test_referral_models_equal_the_judge(store: Store, world: World) -> None:
    expected = judge_members.referrals(world)
    for row in expected.values():
        # Where the store omits it, the models take the time of the last change.
        if row["completed_at"] is None:
            del row["completed_at"], row["days_to_complete"]
    compare(store, "marts.fct_referral", ("referral_id",), expected)
    compare(store, "reports.rpt_referral_funnel", ("month",), judge_members.referral_funnel(world))
    compare(store, "reports.rpt_advocates", ("customer_id",), judge_members.advocates(world))


def test_cohort_reports_equal_the_judge(store: Store, world: World) -> None:
    key = ("join_month", "months_since")
    compare(store, "reports.rpt_member_cohort_retention", key, judge_members.cohorts(world))
    compare(store, "reports.rpt_member_funnel", ("join_month",), judge_members.funnel(world))


def test_rpt_member_rfm_equals_the_judge(store: Store, world: World) -> None:
    compare(store, "reports.rpt_member_rfm", ("customer_id",), judge_members.rfm(world))


def test_next_tier_models_equal_the_judge(store: Store, world: World) -> None:
    progress = judge_members.tier_progress(world)
    compare(store, "intermediate.int_tier_progress", ("customer_id", "measure"), progress)
    measures = {measure for _, measure in progress}
    members = len(progress) / len(measures)
    agreeing = {
        name: sum(row["agrees"] for (_, measure), row in progress.items() if measure == name)
        for name in measures
    }
    [chosen] = store.dicts("from intermediate.int_tier_progress_measure")
    assert agreeing[chosen["measure"]] == max(agreeing.values())
    share = max(agreeing.values()) / members
    assert chosen["share_agreeing"] == pytest.approx(share)
    assert chosen["is_shown"] == (share >= 0.95)
    expected = judge_members.near_next_tier(world, chosen["measure"]) if share >= 0.95 else {}
    compare(store, "reports.rpt_near_next_tier", ("customer_id",), expected)


def test_rpt_points_vintage_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_liability.vintages(world)
    for column in ("redeemed", "expired", "reversed", "remaining"):
        assert any(row[column] for row in expected.values()), column
    assert {unit for _, unit, _ in expected} == {"points", "credits"}
    compare(store, "reports.rpt_points_vintage", ("issue_month", "unit", "age_months"), expected)


def test_rpt_points_liability_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_liability.liability(world)
    columns = ("outstanding", "face_value", "open_rewards", "open_reward_value", "open_reward_unvalued")
    for column in (*columns, "unallocated_debits"):
        assert any(row[column] for row in expected.values()), column
    compare(store, "reports.rpt_points_liability", ("month", "unit", "earn_basis"), expected)


def test_outstanding_and_unallocated_debits_equal_the_closing_balances(store: Store, world: World) -> None:
    rows = store.dicts(
        "select month, unit, sum(outstanding) + sum(unallocated_debits) as closing "
        "from reports.rpt_points_liability group by month, unit"
    )
    closings = {key: row["closing"] for key, row in judge_points.rollforward(world).items()}
    assert {(row["month"], row["unit"]): row["closing"] for row in rows} == closings


def test_open_rewards_of_the_last_month_are_the_open_codes(store: Store) -> None:
    [(found,)] = store.query(
        "select sum(open_rewards) from reports.rpt_points_liability "
        "where month = (select max(month) from reports.rpt_points_liability)"
    )
    assert found == store.query("select count(*) from marts.fct_redemption where status = 'open'")[0][0] > 0


def test_rpt_points_revenue_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_liability.revenue(world)
    rows = {(row["month"], row["earn_basis"]): row for row in store.dicts("from reports.rpt_points_revenue")}
    assert rows.keys() == expected.keys()
    assert any(row["revenue"] > 1 for row in expected.values())
    assert any(row["deferred_balance"] > 1 for row in expected.values())
    # The model computes in floating point and rounds to 4 digits.
    wrong = [
        (key, name, value, rows[key][name])
        for key, row in expected.items()
        for name, value in row.items()
        if abs(rows[key][name] - value) > Decimal("0.0005")
    ]
    assert not wrong


def test_int_expiry_basis_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_expiry.bases(world)
    assert expected["points", "entry"]["explained"]
    compare(store, "intermediate.int_expiry_basis", ("unit", "basis"), expected)


def test_rpt_points_expiring_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_expiry.expiring(world)
    is_decided = any(row["is_used"] for row in judge_expiry.bases(world).values())
    assert {basis for _, _, _, basis in expected} == {"entry"} | (set() if is_decided else {"customer"})
    compare(store, "reports.rpt_points_expiring", ("customer_id", "unit", "expires_on", "basis"), expected)


def test_rpt_expiry_forecast_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_expiry.forecast(world)
    assert any(row["value"] for row in expected.values())
    compare(store, "reports.rpt_expiry_forecast", ("month", "unit", "basis"), expected)


def with_rewards(store: Store, world: World) -> list[Observation]:
    """Return the observations at which the rewards were read."""
    log = store.dicts("select observed_at from rivo_raw.sync_log where list = 'rewards' and complete")
    times = {row["observed_at"] for row in log}
    return [observation for observation in world.observations if observation.at in times]


def test_rpt_reward_reach_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_rewards.reach(world, world.observations[-1].lists["rewards"])
    assert {row["has_ever_redeemed"] for row in expected.values()} == {True, False}
    assert {row["can_redeem"] for row in expected.values()} == {True, False}
    assert any(row["next_reward"] for row in expected.values())
    compare(store, "reports.rpt_reward_reach", ("customer_id",), expected)


def test_rpt_reward_cost_equals_the_judge(store: Store, world: World) -> None:
    expected = judge_rewards.cost(world, with_rewards(store, world))
    assert any(row["codes_used"] and row["value_used"] is None for row in expected.values())
    assert any(row["value_of_refunded"] for row in expected.values())
    assert any(row["codes_used"] == 0 for row in expected.values())
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


def test_rpt_tier_at_risk_equals_the_judge(store: Store, world: World) -> None:
    [chosen] = store.dicts("from intermediate.int_tier_progress_measure")
    expected = judge_tier_outlook.at_risk(world, chosen["measure"]) if chosen["is_shown"] else {}
    compare(store, "reports.rpt_tier_at_risk", ("customer_id", "horizon_days"), expected)


def test_rpt_tier_migration_inferred_equals_the_judge(store: Store, world: World) -> None:
    [chosen] = store.dicts("from intermediate.int_tier_progress_measure")
    expected = judge_tier_outlook.inferred_migration(world, chosen["measure"]) if chosen["is_shown"] else {}
    key = ("period_start", "from_state", "from_tier_id", "to_state", "to_tier_id")
    compare(store, "reports.rpt_tier_migration_inferred", key, expected)


def test_trust_says_whether_the_migration_before_the_first_sync_is_inferred(store: Store) -> None:
    [chosen] = store.dicts("from intermediate.int_tier_progress_measure")
    [trust] = store.dicts("from reports.rpt_data_trust where check_name = 'inferred_migration'")
    months = {row["period_start"] for row in store.dicts("from reports.rpt_tier_migration_inferred")}
    assert (trust["affected"], trust["checked"]) == (chosen["members_agreeing"], chosen["members"])
    if not chosen["is_shown"]:
        assert (trust["status"], "at least 95 %" in trust["finding"]) == ("note", True)
    elif months:
        assert (trust["status"], f"shows {len(months)} months" in trust["finding"]) == ("ok", True)
    else:
        assert (trust["status"], "no whole month" in trust["finding"]) == ("ok", True)

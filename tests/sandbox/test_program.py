"""The simulated programme: deterministic, consistent at every moment, and varied."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import DEFAULT_END, LISTS, Program, ProgramOptions

from .conftest import JULY, Lists, days

START = ProgramOptions().start
SMALL = ProgramOptions(seed=3, customers=120, months=14)


def tallies(lists: Lists, rule: str = "b", now: datetime = DEFAULT_END) -> dict[int, tuple[int, Decimal]]:
    """Compute tallies from the API's objects, independently of the simulation."""
    sums: dict[int, list[Any]] = defaultdict(lambda: [0, Decimal(0)])
    for row in lists["points_events"]:
        attrs = row["attributes"]
        if attrs["revoked_at"] is not None or (rule != "b" and attrs.get("hidden")):
            continue
        if rule == "d":
            stamps = (attrs["applied_at"], attrs["approved_at"])
            if any(stamp is None or datetime.fromisoformat(stamp) > now for stamp in stamps):
                continue
        credits = attrs.get("credits_diff")
        if credits is None:
            credits = ("-" if attrs["source"] == "points_purchase" else "") + attrs["credits_amount"]
        sums[attrs["customer"]["id"]][0] += attrs["points_diff"]
        sums[attrs["customer"]["id"]][1] += Decimal(credits)
    return {id: (points, credits) for id, (points, credits) in sums.items()}


def assert_tallies(lists: Lists, rule: str = "b", now: datetime = DEFAULT_END) -> None:
    sums = tallies(lists, rule, now)
    for row in lists["customers"]:
        attrs = row["attributes"]
        expected = sums.get(row["id"], (0, Decimal(0)))
        assert (attrs["points_tally"], Decimal(attrs["credits_tally"])) == expected, row["id"]


def test_equal_options_give_equal_bytes(lists: Lists) -> None:
    again = Program().snapshot(DEFAULT_END)
    assert orjson.dumps(again) == orjson.dumps(lists)


def test_another_seed_gives_another_programme() -> None:
    one, two = (Program(ProgramOptions(seed=seed, customers=30)).snapshot(DEFAULT_END) for seed in (1, 2))
    assert one["customers"] != two["customers"]


def test_simulating_further_does_not_change_the_past() -> None:
    moments = [SMALL.start + days(100), SMALL.end - days(3.3), SMALL.end]
    stepwise = Program(SMALL)
    seen = [orjson.dumps(stepwise.snapshot(t)) for t in moments]
    ahead = Program(SMALL)
    future = ahead.snapshot(SMALL.end + days(60))
    assert len(future["points_events"]) > len(ahead.snapshot(SMALL.end)["points_events"])
    assert [orjson.dumps(ahead.snapshot(t)) for t in moments] == seen
    assert orjson.dumps(stepwise.snapshot(SMALL.end + days(60))) == orjson.dumps(future)
    assert_tallies(future)


@pytest.mark.parametrize("t", [START + days(1), START + days(200), JULY, DEFAULT_END, DEFAULT_END + days(30)])
def test_tally_equals_ledger_for_every_customer(program: Program, t: datetime) -> None:
    assert_tallies(program.snapshot(t))


@pytest.mark.parametrize("rule", ["c", "d"])
def test_tally_equals_ledger_under_the_other_rules(rule: str) -> None:
    program = Program(ProgramOptions(customers=150, tally_rule=rule))
    for t in (DEFAULT_END - days(400), DEFAULT_END - days(20), DEFAULT_END):
        assert_tallies(program.snapshot(t), rule, t)


_PROGRAM = Program(SMALL)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, int((SMALL.end - SMALL.start).total_seconds())))
def test_tallies_and_ids_are_consistent_at_any_moment(seconds: int) -> None:
    t = SMALL.start + timedelta(seconds=seconds)
    lists = _PROGRAM.snapshot(t)
    assert_tallies(lists, now=t)
    for rows in lists.values():
        ids = [row["id"] for row in rows]
        assert ids == sorted(set(ids))
    for row in lists["points_events"]:
        revoked_at = row["attributes"]["revoked_at"]
        assert revoked_at is None or datetime.fromisoformat(revoked_at) <= t


def test_new_rows_have_higher_ids_and_none_disappear(program: Program) -> None:
    earlier, later = program.snapshot(JULY), program.snapshot(JULY + days(7))
    for name in LISTS:
        before, after = ({row["id"] for row in lists[name]} for lists in (earlier, later))
        if name in ("points_events", "points_redemptions", "referrals"):
            assert before < after
            assert max(before) < min(after - before), "new rows have new ids"


def test_existing_rows_change_later(program: Program) -> None:
    def stamps(lists: Lists, name: str, key: str) -> dict[int, Any]:
        return {row["id"]: row["attributes"].get(key) for row in lists[name]}

    earlier, later = program.snapshot(JULY - days(70)), program.snapshot(JULY)
    for name, key in [
        ("points_events", "revoked_at"),
        ("points_events", "hidden"),
        ("points_events", "approved_at"),
        ("points_redemptions", "used_at"),
        ("points_redemptions", "refunded_at"),
        ("points_redemptions", "revoked_at"),
        ("referrals", "status"),
    ]:
        before, after = stamps(earlier, name, key), stamps(later, name, key)
        assert any(before[id] != after[id] for id in before), (name, key)


def test_some_entries_are_revoked_after_sixty_days(lists: Lists) -> None:
    late = 0
    for row in lists["points_events"]:
        attrs = row["attributes"]
        if attrs["revoked_at"]:
            age = datetime.fromisoformat(attrs["revoked_at"]) - datetime.fromisoformat(attrs["applied_at"])
            late += age > days(60)
    assert late >= 20


def test_default_store_has_the_documented_size(lists: Lists) -> None:
    assert len(lists["customers"]) == 2_000
    assert len(lists["points_events"]) > 20_000
    assert len(lists["points_redemptions"]) > 2_000
    assert len(lists["referrals"]) > 500


def test_default_store_has_all_sources_and_statuses(lists: Lists) -> None:
    sources = Counter(row["attributes"]["source"] for row in lists["points_events"])
    expected = {
        "order_placed",
        "customer_member_enabled",
        "customer_birthday",
        "instagram_follow",
        "review_complete",
        "referral_complete",
        "vip_tier_upgrade",
        "custom_action",
        "visit_url",
        "points_purchase",
        "points_expiration",
        "manual",
        "import",
    }
    assert expected <= set(sources)
    assert "gamification_spin" not in sources
    statuses = {row["attributes"]["status"] for row in lists["referrals"]}
    assert statuses == {"unclaimed", "pending", "completed", "blocked", "ineligible"}
    assert {row["attributes"]["loyalty_status"] for row in lists["customers"]} > {"member", "guest"}


def test_tiers_rise_and_fall_in_the_last_thirteen_weeks(program: Program) -> None:
    since = DEFAULT_END - days(91)
    rank = {None: 0} | {
        row["id"]: row["attributes"]["threshold"] for row in program.snapshot(DEFAULT_END)["vip_tiers"]
    }
    spells = defaultdict(list)
    for spell in program.truth.tier_spells():
        spells[spell.customer_id].append(spell)
    moves: Counter[str] = Counter()
    for own in spells.values():
        assert own[-1].left_at is None
        for before, after in pairwise(own):
            assert before.left_at == after.entered_at
            if after.entered_at >= since and "not_member" not in (before.state, after.state):
                moves["up" if rank[after.tier_id] > rank[before.tier_id] else "down"] += 1
    assert moves["up"] > 100
    assert moves["down"] > 100
    assert sum(fact.claimed_at >= since for fact in program.truth.redemptions()) > 200


def test_truth_agrees_with_the_snapshot(program: Program) -> None:
    lists = program.snapshot(JULY)
    for row in lists["customers"]:
        attrs = row["attributes"]
        state, tier_id = program.truth.tier_at(row["id"], JULY)
        assert (state != "not_member") == (attrs["loyalty_status"] == "member")
        assert tier_id == (attrs["vip_tier"] or {}).get("id")
    sums: Counter[int] = Counter()
    for entry in program.truth.ledger(JULY):
        if entry.unit == "points" and entry.revoked_at is None:
            sums[entry.customer_id] += entry.amount
    for row in lists["customers"]:
        assert sums[row["id"]] == row["attributes"]["points_tally"]


def test_every_redemption_has_a_ledger_entry(lists: Lists) -> None:
    entries = {row["attributes"]["points_purchases_id"] for row in lists["points_events"]}
    assert entries - {None} == {row["id"] for row in lists["points_redemptions"]}


def test_tier_follows_from_points_earned_in_a_year(program: Program) -> None:
    """Tiers computed from the ledger and the thresholds agree, except for downgrades planned for the next night."""
    earning = {"points_purchase", "points_expiration", "manual", "import"}
    earned: Counter[int] = Counter()
    for entry in program.truth.ledger():
        counts = entry.unit == "points" and entry.source not in earning and entry.revoked_at is None
        if counts and entry.applied_at > DEFAULT_END - timedelta(days=365):
            earned[entry.customer_id] += entry.amount
    ladder = sorted(
        (row["attributes"]["threshold"], row["id"]) for row in program.snapshot(DEFAULT_END)["vip_tiers"]
    )
    agree = members = 0
    for customer in program.snapshot(DEFAULT_END)["customers"]:
        if customer["attributes"]["loyalty_status"] == "member":
            members += 1
            reached = [id for threshold, id in ladder if threshold <= earned[customer["id"]]]
            agree += (customer["attributes"]["vip_tier"] or {}).get("id") == (
                reached[-1] if reached else None
            )
    assert agree / members > 0.98


def test_new_customers_appear_with_a_delay(program: Program) -> None:
    rows = program.view(DEFAULT_END).rows("customers")
    delays = [(row.at - row.log[0].at) / 1000 for row in rows if row.at > program.options.start_ms]
    assert 30 <= min(delays) <= max(delays) <= 60


# -- changes made by tests ----------------------------------------------------------------------------


def test_override_of_a_tier_changes_the_nested_tier(small: Program) -> None:
    t = DEFAULT_END - days(2)
    tier_id = next(
        c["attributes"]["vip_tier"]["id"]
        for c in small.snapshot(t)["customers"]
        if c["attributes"]["vip_tier"]
    )
    small.override("vip_tiers", tier_id, at=t, name="Argent")
    names = {
        (row["attributes"]["vip_tier"] or {}).get("name")
        for row in small.snapshot(t)["customers"]
        if (row["attributes"]["vip_tier"] or {}).get("id") == tier_id
    }
    assert names == {"Argent"}
    assert "Argent" not in json.dumps(small.snapshot(t - timedelta(seconds=1)))


def test_inserted_event_counts_from_its_insertion(small: Program) -> None:
    t = DEFAULT_END - days(5)
    before = small.snapshot(t)
    customer = before["customers"][0]
    event_id = small.insert(
        "points_events",
        {"customer": {"id": customer["id"]}, "points_diff": 70, "applied_at": t - days(40)},
        at=t,
    )
    after = small.snapshot(t)
    event = next(row for row in after["points_events"] if row["id"] == event_id)
    assert event["attributes"]["points_amount"] == 70
    assert event["attributes"]["applied_at"] == "2026-08-21T06:00:00.000Z"
    assert max(row["id"] for row in before["points_events"]) < event_id
    tally = after["customers"][0]["attributes"]["points_tally"]
    assert tally == customer["attributes"]["points_tally"] + 70
    assert_tallies(after)
    small.override("points_events", event_id, at=t + days(1), revoked_at=t + days(1))
    assert_tallies(small.snapshot(t + days(1)))
    assert_tallies(small.snapshot(DEFAULT_END + days(20)))


def test_removed_row_can_be_restored(small: Program) -> None:
    t = datetime(2026, 9, 1, tzinfo=UTC)
    id = small.snapshot(t)["customers"][3]["id"]
    small.remove("customers", id, at=t)
    small.restore("customers", id, at=t + days(7))
    present = [
        any(row["id"] == id for row in small.snapshot(moment)["customers"])
        for moment in (t - timedelta(seconds=1), t, t + days(6), t + days(7))
    ]
    assert present == [True, False, False, True]


def test_removed_event_does_not_count(small: Program) -> None:
    event = small.snapshot(DEFAULT_END)["points_events"][-1]
    small.remove("points_events", event["id"], at=DEFAULT_END)
    assert_tallies(small.snapshot(DEFAULT_END))


def test_changes_refuse_unknown_rows_and_lists(small: Program) -> None:
    with pytest.raises(ValueError, match="no row"):
        small.override("customers", 1, at=DEFAULT_END, email="x")
    with pytest.raises(ValueError, match="no list"):
        small.override("widgets", 1, at=DEFAULT_END, email="x")
    with pytest.raises(ValueError, match="exists"):
        small.insert("vip_tiers", {"name": "Twin"}, at=DEFAULT_END, id=552_288)
    with pytest.raises(ValueError, match="time zone"):
        small.snapshot(datetime(2026, 1, 1))  # noqa: DTZ001

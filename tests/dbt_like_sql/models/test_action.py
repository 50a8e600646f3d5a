"""fct_action: what later syncs see of actions that were applied to the sandbox store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from runs.action_rows import from_project, from_row
from runs.actions import Watcher, apply, applying, desk
from sandbox import ProgramOptions
from tests.harness.actions import fixed_reward
from tests.harness.store import Store, open_store, project

SELECTION = "+fct_action +rpt_member_rfm +dim_earning_rule +dim_date"
EXAMPLES = ("welcome_new_tier", "win_back_at_risk", "birthday_points", "goodwill_expired_code")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("actions") / "warehouse" / "rivo.duckdb"
    options = ProgramOptions(customers=60, months=6)
    with open_store(path, options, options={"settle_seconds": 0.0}, selection=SELECTION) as store:
        store.server.now = store.wait(-7)
        store.sync(models=True)
        store.wait(7)
        store.sync(models=True)
        yield store


def apply_row(store: Store, kind: str, **row: Any) -> int:
    """Apply one action and return its id."""
    with applying(store.settings) as acting:
        applied = apply(acting, from_row(kind, row), Watcher())
    assert applied
    [entry] = applied.entries
    assert (entry.state, entry.difference) == ("done", None)
    return entry.action_id


def test_every_kind_is_seen_by_the_next_sync(store: Store) -> None:
    people = [row["attributes"] for row in store.objects("customers").values()]
    members = [row for row in people if row["loyalty_status"] == "member"]
    customer = max(members, key=lambda row: row["points_tally"])
    other = next(row for row in members if row["id"] != customer["id"])
    reward = fixed_reward(store)
    tier = next(id for id in store.objects("vip_tiers") if id != (customer["vip_tier"] or {}).get("id"))

    points = apply_row(
        store, "add_points", customer_id=customer["id"], points_amount=40, custom_action_name="hello"
    )
    store.wait(0.01)
    redeemed = apply_row(store, "redeem_reward", customer_id=customer["id"], reward_id=reward)
    redemption = max(store.objects("points_redemptions"))
    refunded = apply_row(store, "refund_redemption", redemption_id=redemption)
    referred = apply_row(
        store,
        "create_referral",
        email="f@example.com",
        referral_code=other["referral_code"],
        remote_ip="203.0.113.9",
    )
    born = apply_row(store, "update_customer", customer_id=customer["id"], dob="02-29")
    moved = apply_row(store, "set_vip_tier", customer_id=customer["id"], vip_tier_id=tier)

    store.build()
    before = store.dicts("from marts.fct_action order by action_id")
    store.wait(1)
    store.sync(models=True)
    seen = {row["action_id"]: row for row in store.dicts("from marts.fct_action")}

    assert [row["was_seen"] for row in before] == [None] * 6, "no sync since"
    assert {id: row["was_seen"] for id, row in seen.items()} == {
        points: True,
        redeemed: True,
        refunded: True,
        referred: True,
        born: None,
        moved: True,
    }
    assert seen[points]["event_id"] in store.objects("points_events")
    activity = [seen[points][name] for name in ("used_at", "next_purchase_at", "next_activity_at")]
    assert activity == [None] * 3, "what actions wrote does not show that the member came back"
    assert seen[redeemed]["redemption_id"] == seen[refunded]["redemption_id"] == redemption
    assert seen[redeemed]["reversed_at"] is not None
    assert seen[refunded]["customer_id"] == customer["id"]
    assert seen[referred]["customer_id"] == other["id"]
    assert [
        row["parameters"] for row in store.dicts("from rivo_actions.outbox where kind = 'create_referral'")
    ] == ["{}"]
    assert len(store.query("from rivo_actions.results")) == 6
    texts = " ".join(
        str(row) for table in ("outbox", "results") for row in store.query(f"from rivo_actions.{table}")
    )
    assert "f@example.com" not in texts
    assert "203.0.113.9" not in texts
    assert store.server.key not in texts


def test_manual_adjustments_of_ours_can_be_told_apart(store: Store) -> None:
    member = next(
        r["attributes"]
        for r in store.objects("customers").values()
        if r["attributes"]["loyalty_status"] == "member"
    )
    apply_row(store, "add_points", customer_id=member["id"], points_amount=1, external_note="told apart")
    store.wait(1)
    store.sync("points_events")
    [(note,)] = store.query(
        "select internal_note from rivo_raw.points_events where external_note = 'told apart'"
    )
    assert note.startswith("[rivo-warehouse add_points ")


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_disabled_and_can_be_planned(name: str, store: Store) -> None:
    definition = from_project(project(), name)
    assert "is disabled" in definition.disabled
    with desk(store.settings) as looked:
        plan = looked.plan(definition)
    assert [row.reason for row in plan.rows if row.action is None] == []
    assert plan.value is not None or not plan.ready


def test_examples_find_whom_they_are_for(store: Store) -> None:
    with desk(store.settings) as looked:
        plans = {name: looked.plan(from_project(project(), name)) for name in EXAMPLES}
    today = store.query("select local_date from intermediate.int_clock")[0][0]

    risky = {id for (id,) in store.query("select customer_id from reports.rpt_member_rfm where is_at_risk")}
    assert {row.action.customer_id for row in plans["win_back_at_risk"].rows if row.action} == risky
    changes = store.query(
        "select customer_id, to_tier_id from marts.fct_tier_change where direction in ('enter', 'upgrade') "
        "and to_tier_id is not null and not is_structural"
    )
    welcomed = plans["welcome_new_tier"].rows
    assert {(r.action.customer_id, r.action.extra["tier_id"]) for r in welcomed if r.action} == set(changes)
    expired = [
        row["attributes"]
        for row in store.objects("points_redemptions").values()
        if row["attributes"]["expires_at"] and not row["attributes"]["used_at"]
    ]
    assert len(plans["goodwill_expired_code"].rows) <= len(expired)
    rules = store.query(
        "select count(*) from marts.dim_earning_rule where rule_trigger = 'customer_birthday' and is_active"
    )
    days = [today - timedelta(days=ago) for ago in range(7)]
    born = [
        (row["attributes"]["id"], day.year)
        for row in store.objects("customers").values()
        for day in days
        if row["attributes"]["dob"] == f"{day:%m-%d}" and row["attributes"]["loyalty_status"] == "member"
    ]
    expected = [] if rules[0][0] else sorted(born)
    found = [
        (r.action.customer_id, r.action.extra["year"]) for r in plans["birthday_points"].rows if r.action
    ]
    assert found == expected

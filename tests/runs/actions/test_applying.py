"""Actions applied to the sandbox store: what lands there, who is left out, what is asked before."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipelines.actions.entries import Entry
from pipelines.actions.plan import ActionPlan, Limits
from pipelines.errors import RivoError
from runs.action_rows import from_row
from runs.actions import Watcher, apply
from sandbox import Fault
from tests.harness.actions import (
    Attributes,
    carry_out,
    fixed_reward,
    from_csv,
    landed,
    opened,
    outbox_of,
    people,
    rich,
    states,
)
from tests.harness.store import Store


def test_points_are_added_once_and_quietly(store: Store) -> None:
    first, second = people(store)[:2]
    rows = [
        {"customer_id": first["id"], "points_amount": 50, "external_note": "thanks", "internal_note": ""},
        {
            "customer_id": second["email"].upper(),
            "points_amount": 70,
            "external_note": "thanks",
            "internal_note": "x",
        },
    ]
    definition = from_csv(store, "add_points", rows)
    shown: list[ActionPlan] = []

    def see(plan: ActionPlan) -> bool:
        shown.append(plan)
        return True

    applied = carry_out(store, definition, confirm=see)
    again = carry_out(store, definition)

    assert [(plan.count("ready"), plan.points) for plan in shown] == [(2, 120)]
    assert states(applied) == ["done", "done"]
    assert applied.problems == []
    assert [row.decision for row in again.plan.rows] == ["done", "done"]
    made = landed(store, "thanks")
    assert [(row["points_diff"], row["source"]) for row in made] == [(50, "manual"), (70, "manual")]
    assert made[0]["internal_note"] == f"[rivo-warehouse add_points {applied.entries[0].token}]"
    assert made[1]["internal_note"].endswith("] x")
    assert [entry.rivo_id for entry in applied.entries] == sorted(
        id
        for id, row in store.objects("points_events").items()
        if row["attributes"].get("external_note") == "thanks"
    )
    assert store.server.mails == []


@pytest.mark.parametrize("fault", [None, "landed_500", "dropped"])
def test_points_with_mails_go_in_batches_and_land_once(fault: str | None, store: Store) -> None:
    members = people(store)[:13]
    rows = [{"customer_id": m["id"], "points_amount": 5, "external_note": "batch"} for m in members]
    guest = people(store, "guest")[0]["id"]
    rows.insert(3, {"customer_id": guest, "points_amount": 5, "external_note": "batch"})
    definition = replace(from_csv(store, "add_points", rows), send_email=True)
    with opened(store) as desk:
        assert desk.session
        desk.session.since_id("points_events")
        store.server.faults = Fault(fault, "points_events", times=1) if fault else ()
        applied = apply(desk, definition, Watcher())
    assert applied
    assert sorted(states(applied)) == ["done"] * 13 + ["skipped"]
    assert applied.problems == []
    assert sorted(row["customer"]["id"] for row in landed(store, "batch")) == sorted(m["id"] for m in members)
    assert len(store.server.mails) == 13
    calls = [r.path.rpartition("/merchant_api/v1")[2] for r in store.server.requests if r.method == "POST"]
    assert calls == ["/points_events/batch"] * 2


def test_batch_that_rivo_refuses_in_part_is_sent_one_by_one(store: Store) -> None:
    members = people(store)[:3]
    rows = [{"customer_id": m["id"], "points_amount": 5, "external_note": "partly"} for m in members]
    definition = replace(from_csv(store, "add_points", rows), send_email=True)
    with opened(store) as desk:
        assert desk.session
        find = desk.session.client.find

        def find_then_exclude(path: str, title: str) -> Any:
            """Exclude the second customer after Rivo was asked about the last one."""
            found = find(path, title)
            if path.endswith(f"/{members[2]['id']}"):
                store.program.override("customers", members[1]["id"], store.now, loyalty_status="excluded")
            return found

        desk.session.client.find = find_then_exclude  # type: ignore[method-assign]
        applied = apply(desk, definition, Watcher())
    assert applied
    assert states(applied) == ["done", "skipped", "done"]
    assert len(landed(store, "partly")) == 2


def test_each_kind_does_what_it_says_and_reads_it_back(store: Store) -> None:
    customer, reward = rich(store), fixed_reward(store)
    advocate = next(row for row in people(store) if row["id"] != customer["id"])
    tier = next(id for id in store.objects("vip_tiers") if id != (customer["vip_tier"] or {}).get("id"))
    redeemed = carry_out(
        store, from_row("redeem_reward", {"customer_id": customer["id"], "reward_id": reward})
    )
    redemption = redeemed.entries[0].rivo_id
    rows: list[tuple[str, Attributes]] = [
        ("refund_redemption", {"redemption_id": redemption}),
        (
            "create_referral",
            {
                "email": "f@example.com",
                "referral_code": advocate["referral_code"],
                "remote_ip": "203.0.113.7",
            },
        ),
        ("update_customer", {"customer_id": customer["id"], "dob": "02-29"}),
        ("set_vip_tier", {"customer_id": customer["id"], "vip_tier_id": tier}),
    ]
    for kind, row in rows:
        applied = carry_out(store, from_row(kind, row))
        assert (kind, states(applied), applied.problems) == (kind, ["done"], [])

    assert redemption in store.objects("points_redemptions")
    assert store.objects("points_redemptions")[redemption]["attributes"]["refunded_at"]
    now = store.objects("customers")[customer["id"]]["attributes"]
    assert (now["dob"], now["vip_tier"]["id"]) == ("02-29", tier)
    referral = max(store.objects("referrals").items())[1]["attributes"]
    assert (referral["referred_email"], referral["advocate_email"]) == ("f@example.com", advocate["email"])


def test_personal_values_leave_the_outbox_when_they_are_no_longer_needed(store: Store) -> None:
    code = people(store)[0]["referral_code"]
    row = {"email": "friend.of.a.friend@example.com", "referral_code": code, "remote_ip": "203.0.113.7"}
    carry_out(store, from_row("create_referral", row))
    content = b"".join(file.read_bytes() for file in outbox_of(store).parent.glob("*.outbox.sqlite*"))
    assert b"create_referral" in content
    for secret in (*row.values(), store.server.key):
        assert str(secret).encode() not in content


def test_rows_that_must_not_be_sent_are_left_out_with_the_reason(store: Store) -> None:
    member, excluded = people(store)[:2]
    guest = people(store, "guest")[0]
    # Excluded after the sync: only Rivo knows.
    store.program.override("customers", excluded["id"], store.now, loyalty_status="excluded")
    rows: list[Attributes] = [
        {"customer_id": member["id"], "points_amount": 5},
        {"customer_id": member["id"], "points_amount": 5},
        {"customer_id": guest["id"], "points_amount": 5},
        {"customer_id": excluded["id"], "points_amount": 5},
        {"customer_id": 1, "points_amount": 5},
        {"customer_id": member["id"], "points_amount": "five"},
        {"customer_id": member["id"], "points_amount": 0},
        {"customer_id": "", "points_amount": 5},
        {"customer_id": member["id"], "points_amount": -member["points_tally"] - 6},
    ]

    applied = carry_out(
        store, from_csv(store, "add_points", [{**row, "external_note": "careful"} for row in rows])
    )

    assert len(landed(store, "careful")) == 1
    reasons = [row.reason for row in applied.plan.rows]
    assert reasons[1] == "it has the same key as row 1"
    assert reasons[5:8] == [
        "points_amount is 'five', not a whole number of points",
        "points_amount and credits_amount are both empty or 0",
        "customer_id is empty",
    ]
    # Without models, the warehouse does not know members; then Rivo is asked about each.
    skipped = {entry.customer_id: entry.message for entry in applied.entries if entry.state == "skipped"}
    assert skipped == {
        guest["id"]: "the customer is a guest",
        excluded["id"]: "the customer is excluded",
        1: "Rivo has no such customer",
        member["id"]: f"the balance of {member['points_tally'] + 5:,} points would become negative",
    }


def test_negative_balance_needs_to_be_allowed(store: Store) -> None:
    member = people(store)[0]
    row = {"customer_id": member["id"], "points_amount": -member["points_tally"] - 1, "external_note": "take"}
    refused = carry_out(store, from_row("add_points", row))
    assert (states(refused), landed(store, "take")) == (["skipped"], [])
    allowed = carry_out(store, replace(from_row("add_points", row), allow_negative=True))
    assert states(allowed) == ["done"]
    assert store.objects("customers")[member["id"]]["attributes"]["points_tally"] == -1


def test_limits_hold_the_last_rows_back(store: Store) -> None:
    members = people(store)[:5]
    rows = [{"customer_id": m["id"], "points_amount": 10, "external_note": "limits"} for m in members]
    definition = replace(
        from_csv(store, "add_points", rows),
        limits={"per_run": Limits(max_rows=2), "per_day": Limits(max_points=30)},
    )
    first, second, third = (carry_out(store, definition) for _ in range(3))
    assert [len(each.entries) for each in (first, second, third)] == [2, 1, 0]
    assert first.plan.bound == ("per_run max_rows 2",)
    assert second.plan.bound == ("per_day max_points 30",)
    assert [row.decision for row in third.plan.rows] == ["done"] * 3 + ["held_back"] * 2
    store.wait(1)
    assert len(carry_out(store, definition).entries) == 2, "the next day"
    unknown_value = replace(definition, name="other", limits={"per_run": Limits(max_value=Decimal(5))})
    assert carry_out(store, unknown_value).plan.rows[0].reason == (
        "per_run max_value 5, and the value of this row is unknown"
    )


def test_tier_that_rivo_recalculates_is_reported(store: Store) -> None:
    customer = next(row for row in people(store) if row["vip_tier"])
    tier = next(id for id in store.objects("vip_tiers") if id != customer["vip_tier"]["id"])
    store.server.faults = "tier_recalculated"
    applied = carry_out(store, from_row("set_vip_tier", {"customer_id": customer["id"], "vip_tier_id": tier}))
    [problem] = applied.problems
    assert problem.state == "done"
    assert problem.difference == (
        f"Rivo shows the tier {customer['vip_tier']['name']} ({customer['vip_tier']['id']}), not the tier {tier}: "
        "it may have been recalculated"
    )
    assert "RIVO_CALL_SET_VIP_TIER" in applied.stopped


def test_balance_that_did_not_move_is_reported(store: Store) -> None:
    member = people(store)[0]
    store.program.override("customers", member["id"], store.now, points_tally=77)
    applied = carry_out(store, from_row("add_points", {"customer_id": member["id"], "points_amount": 5}))
    assert (
        applied.problems[0].difference
        == "the balance is 77 points, and was 77 points before; 82 was expected"
    )


def test_first_use_of_an_unconfirmed_call_tries_one_row(store: Store) -> None:
    members = people(store)[:4]
    rows = [{"customer_id": member["id"], "dob": "02-29"} for member in members]
    definition = from_csv(store, "update_customer", rows)
    asked: list[tuple[Entry, str]] = []

    def refuse(entry: Entry, call: str) -> bool:
        asked.append((entry, call))
        return False

    first = carry_out(store, definition, confirm_rest=refuse)

    assert states(first) == ["done", "planned", "planned", "planned"]
    assert [(entry.state, entry.difference, call) for entry, call in asked] == [
        ("done", None, "PUT /customers/{customer_id} dob")
    ]
    assert "Run the command again for the rest" in first.stopped
    second = carry_out(store, definition)
    assert (states(second), second.stopped) == (["done"] * 3, "")


def test_calls_can_be_changed_by_settings(store: Store) -> None:
    customer = people(store)[0]
    row = {"customer_id": customer["id"], "dob": "03-04", "city": "Turin"}
    store.options["call_update_customer"] = "customers/{id}"
    with pytest.raises(RivoError, match="is not a call"):
        carry_out(store, from_row("update_customer", row))
    store.options["call_update_customer"] = "PUT /customers/{customer_id} dob city=town"
    applied = carry_out(store, from_row("update_customer", row))
    assert "Rivo shows another city" in str(applied.problems[0].difference), (
        "the sandbox ignores town, as Rivo would"
    )
    assert store.objects("customers")[customer["id"]]["attributes"]["dob"] == "03-04"

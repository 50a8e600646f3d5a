"""Outcomes that are not known: calls without an answer, killed applies, rate limits, refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.actions.kinds import KINDS, call_of
from pipelines.actions.plan import Limits
from pipelines.actions.sending import SendOptions, send
from pipelines.errors import ApiError, RivoError
from runs.action_rows import from_row
from runs.actions import Watcher, apply
from sandbox import Fault
from tests.harness.actions import (
    Attributes,
    carry_out,
    desk_of,
    fixed_reward,
    from_csv,
    landed,
    opened,
    people,
    rich,
    states,
)
from tests.harness.store import Store


@pytest.mark.parametrize("fault", ["landed_500", "landed_504", "dropped"])
def test_call_that_landed_without_an_answer_is_found_and_not_repeated(fault: str, store: Store) -> None:
    customer, reward = rich(store), fixed_reward(store)
    code = next(row["referral_code"] for row in people(store) if row["id"] != customer["id"])
    redemptions = len(store.objects("points_redemptions"))
    cases: list[tuple[str, str, Attributes]] = [
        (
            "points_events",
            "add_points",
            {"customer_id": customer["id"], "points_amount": 9, "external_note": "once"},
        ),
        ("points_redemptions", "redeem_reward", {"customer_id": customer["id"], "reward_id": reward}),
        (
            "referrals",
            "create_referral",
            {"email": "f@example.com", "referral_code": code, "remote_ip": "203.0.113.7"},
        ),
        ("customers", "update_customer", {"customer_id": customer["id"], "dob": "02-29"}),
    ]
    for listed, kind, row in cases:
        with opened(store) as desk:
            assert desk.session
            desk.session.since_id("points_events" if listed == "customers" else listed)
            definition = from_row(kind, row)
            [planned] = desk.plan(definition).ready
            assert planned.action
            entries = desk.outbox.plan([(planned.action, planned.value)], desk.now())
            # Reading a customer comes first, except for a referral.
            faulty = {"customers": 2}.get(listed, 1)
            store.server.faults = (
                Fault(fault, listed, times=faulty) if fault != "dropped" or faulty == 1 else ()
            )
            send(desk.session, entries, SendOptions(call_of(KINDS[kind], store.settings)))
            store.server.faults = ()
            sent = desk.outbox.entry(entries[0].action_id)
        if fault != "dropped" or faulty == 1:
            assert (kind, sent.state) == (kind, "unknown")
        applied = carry_out(store, definition)
        assert [entry.state for entry in applied.resolved] == ["done"] or sent.state == "done"
        assert [row.decision for row in applied.plan.rows] == ["done"]
    assert len(landed(store, "once")) == 1
    assert len(store.objects("points_redemptions")) == redemptions + 1


def test_call_that_did_not_land_is_sent_again_in_the_same_apply(store: Store) -> None:
    member = people(store)[0]
    definition = from_row(
        "add_points", {"customer_id": member["id"], "points_amount": 3, "external_note": "retry"}
    )
    notices: list[str] = []
    with opened(store) as desk:
        assert desk.session
        desk.session.since_id("points_events")
        store.server.faults = Fault("http_500", "points_events", times=1)
        applied = apply(desk, definition, Watcher(notice=notices.append))
    assert applied
    assert [(entry.state, entry.attempts) for entry in applied.entries] == [("done", 2)]
    assert len(landed(store, "retry")) == 1


def test_action_of_a_killed_apply_is_resolved_by_the_next_one(store: Store) -> None:
    first, second = people(store)[:2]
    sent = from_row("add_points", {"customer_id": first["id"], "points_amount": 3, "external_note": "sent"})
    unsent = from_row(
        "add_points", {"customer_id": second["id"], "points_amount": 4, "external_note": "not sent"}
    )
    with opened(store) as desk:
        assert desk.session
        for definition in (sent, unsent):
            [row] = desk.plan(definition).ready
            assert row.action
            [entry] = desk.outbox.plan([(row.action, None)], desk.now())
            since_id = desk.session.since_id("points_events")
            desk.outbox.sending(entry, desk.now(), 0.0, since_id, None)
            if definition is sent:
                note = f"[rivo-warehouse add_points {entry.token}]"
                fields = {"points_diff": 3, "customer": {"id": first["id"]}, "external_note": "sent"}
                store.program.insert("points_events", {**fields, "internal_note": note}, store.now)
    assert carry_out(store, sent).plan.rows[0].decision == "done"
    assert states(carry_out(store, unsent)) == ["done"]
    assert (len(landed(store, "sent")), len(landed(store, "not sent"))) == (1, 1)


def test_young_unknown_outcome_is_left_alone(store: Store) -> None:
    store.options["settle_seconds"] = 3_600.0
    definition = from_row("add_points", {"customer_id": people(store)[0]["id"], "points_amount": 3})
    with opened(store) as desk:
        assert desk.session
        [row] = desk.plan(definition).ready
        assert row.action
        [entry] = desk.outbox.plan([(row.action, None)], desk.now())
        desk.outbox.sending(entry, desk.now(), 4e9, desk.session.since_id("points_events"), None)
    with desk_of(store) as looked:
        assert [row.decision for row in looked.plan(definition).rows] == ["open"]
    with opened(store) as acting:
        assert (
            acting.decide(entry.action_id, is_done=False)
            == "Action 1 is recorded as not done, and can be sent again."
        )
        with pytest.raises(RivoError, match="Action 1 has no unknown outcome"):
            acting.decide(entry.action_id, is_done=True)


def test_rate_limit_is_waited_for_and_a_refused_key_stops(store: Store) -> None:
    members = people(store)[:3]
    rows = [{"customer_id": m["id"], "points_amount": 1, "external_note": "key"} for m in members]
    definition = from_csv(store, "add_points", rows)
    store.server.faults = Fault("rate_limited", "points_events", times=2, value=1)
    with opened(store) as desk:
        applied = apply(desk, replace(definition, limits={"per_run": Limits(max_rows=1)}), Watcher())
    assert applied
    assert states(applied) == ["done"]
    with opened(store) as desk:
        assert desk.session
        desk.session.since_id("points_events")
        store.server.faults = Fault("http_401", "points_events", times=1)
        with pytest.raises(ApiError, match="Rivo refused the key"):
            apply(desk, definition, Watcher())
    store.server.faults = ()
    assert states(carry_out(store, definition)) == ["done", "done"]
    assert len(landed(store, "key")) == 3


def test_refused_call_is_final_unless_it_is_retried(store: Store) -> None:
    customer, reward = rich(store), fixed_reward(store)
    store.program.override("rewards", reward, store.now, enabled=False)
    definition = from_row("redeem_reward", {"customer_id": customer["id"], "reward_id": reward})
    applied = carry_out(store, definition)
    assert [(entry.state, entry.message) for entry in applied.problems] == [
        ("refused", "This reward is disabled.")
    ]
    store.program.override("rewards", reward, store.now, enabled=True)
    again = carry_out(store, definition)
    assert again.entries == []
    assert again.plan.rows[0].reason.endswith("This reward is disabled.")
    assert states(carry_out(store, definition, retry_refused=True)) == ["done"]

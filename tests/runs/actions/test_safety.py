"""Actions under what can go wrong: answers that mislead, outboxes that were lost, shops that were exchanged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.actions import sending
from pipelines.actions.erasing import erase_from_outbox
from pipelines.actions.kinds import call_of
from pipelines.actions.outbox_file import open_outbox
from pipelines.actions.resolving import resolve
from pipelines.actions.sending import SendOptions, send
from pipelines.errors import RivoError, SettingsError
from pipelines.privacy.erasure import Person
from pipelines.rivo.changes import Answer
from runs.action_rows import Definition, from_row
from runs.actions import Applied, Desk, Watcher, apply, desk, times_done
from sandbox import Fault, ProgramOptions
from tests.harness.actions import carry_out, fixed_reward, from_csv, landed, opened, people, rich, states
from tests.harness.store import Store, open_store


def plan_one(desk: Desk, definition: Definition) -> Any:
    """Record the only row of a definition as planned, and return its entry."""
    [row] = desk.plan(definition).ready
    assert row.action
    [entry] = desk.outbox.plan([(row.action, row.value)], desk.now())
    return entry


@contextmanager
def sent(store: Store, definition: Definition, fault: Fault) -> Iterator[tuple[Desk, Any]]:
    """Send the only row of a definition under a fault."""
    with opened(store) as acting:
        assert acting.session
        acting.session.since_id(
            definition.kind.reads if definition.kind.reads != "customers" else "points_events"
        )
        entry = plan_one(acting, definition)
        store.server.faults = fault
        send(acting.session, [entry], SendOptions(call_of(definition.kind, store.settings)))
        store.server.faults = ()
        yield acting, acting.outbox.entry(entry.action_id)


def points(store: Store, amount: int = 5, note: str = "n", **more: Any) -> Definition:
    return from_row(
        "add_points",
        {"customer_id": people(store)[0]["id"], "points_amount": amount, "external_note": note, **more},
    )


# -- what Rivo does with notes --------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["", None, "x"])
def test_action_whose_note_rivo_does_not_keep_is_not_sent_again(kept: str | None, store: Store) -> None:
    with sent(store, points(store), Fault("landed_500", "points_events", times=1)) as (_, entry):
        assert entry.state == "unknown"
    event = max(store.objects("points_events"))
    store.program.override("points_events", event, store.now, internal_note=kept)
    applied = carry_out(store, points(store))
    assert [row.decision for row in applied.plan.rows] == ["open"]
    assert len(landed(store, "n")) == 1


def test_long_note_that_rivo_cuts_off_still_has_the_token(store: Store) -> None:
    definition = points(store, internal_note="because " * 40)
    with sent(store, definition, Fault("landed_500", "points_events", times=1)):
        event = max(store.objects("points_events"))
        note = store.objects("points_events")[event]["attributes"]["internal_note"]
        store.program.override("points_events", event, store.now, internal_note=note[:255])
    assert [row.decision for row in carry_out(store, definition).plan.rows] == ["done"]


# -- time -----------------------------------------------------------------------------------------


def test_wait_for_the_rate_limit_does_not_count_as_time_to_settle(store: Store) -> None:
    store.options["settle_seconds"] = 0.5
    fault = Fault("rate_limited", "points_events", times=1, value=1)
    with opened(store) as acting:
        assert acting.session
        acting.session.since_id("points_events")
        entry = plan_one(acting, points(store))
        store.server.faults = (fault, Fault("landed_500", "points_events"))
        before = time.time()
        send(acting.session, [entry], SendOptions(call_of(points(store).kind, store.settings)))
        store.server.faults = ()
        unknown = acting.outbox.entry(entry.action_id)
    assert unknown.state == "unknown"
    assert (unknown.sent_clock or 0) >= before + 0.9


def test_age_counts_from_before_the_list_was_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.options["settle_seconds"] = 0.3
    with sent(store, points(store), Fault("http_500", "points_events", times=1)) as (acting, _):
        assert acting.session
        read = acting.session.client.get

        def slow(*arguments: Any, **options: Any) -> Any:
            found = read(*arguments, **options)
            time.sleep(0.4)
            return found

        monkeypatch.setattr(acting.session.client, "get", slow)
        resolved, left = resolve(acting.session)
    assert (resolved, [entry.state for entry in left]) == ([], ["unknown"])


# -- matching -------------------------------------------------------------------------------------


def test_redemption_that_the_customer_made_later_is_not_taken_for_a_refused_one(store: Store) -> None:
    customer, reward = rich(store), fixed_reward(store)
    definition = from_row("redeem_reward", {"customer_id": customer["id"], "reward_id": reward})
    store.program.override("rewards", reward, store.now, enabled=False)
    assert states(carry_out(store, definition)) == ["refused"]
    store.program.override("rewards", reward, store.now, enabled=True)
    store.program.insert(
        "points_redemptions",
        {"customer": {"id": customer["id"]}, "reward_id": reward, "points_amount": 1, "code": "SHOP"},
        store.now,
    )
    ours = max(store.objects("points_redemptions"))
    with opened(store) as acting:
        assert acting.session
        acting.session.since_id("points_redemptions")
        store.server.faults = Fault("http_500", "points_redemptions", times=1)
        applied = apply(acting, definition, Watcher(), retry_refused=True)
    assert applied
    assert states(applied) == ["done"]
    assert max(store.objects("points_redemptions")) > ours


def test_tier_without_an_answer_is_set_once(store: Store) -> None:
    customer = next(row for row in people(store) if row["vip_tier"])
    tier = next(id for id in store.objects("vip_tiers") if id != customer["vip_tier"]["id"])
    store.server.faults = ("tier_recalculated", "landed_500")
    store.server.requests.clear()
    applied = carry_out(store, from_row("set_vip_tier", {"customer_id": customer["id"], "vip_tier_id": tier}))
    assert states(applied) == ["unknown"]
    assert sum(request.method == "POST" for request in store.server.requests) == 1


def test_batch_whose_answer_lacks_an_event_leaves_it_unknown(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = people(store)[:3]
    rows = [{"customer_id": m["id"], "points_amount": 5, "external_note": "batch"} for m in members]
    real = sending.send_change

    def shortened(*arguments: Any, **options: Any) -> Answer:
        answer = real(*arguments, **options)
        return replace(answer, data=answer.data[:-1]) if isinstance(answer.data, list) else answer

    monkeypatch.setattr(sending, "send_change", shortened)
    applied = carry_out(store, replace(from_csv(store, "add_points", rows), send_email=True))
    assert states(applied) == ["done"] * 3
    assert [entry.message for entry in applied.entries] == [None, None, "found in Rivo"]
    assert len(landed(store, "batch")) == 3


def test_rows_of_one_customer_in_a_batch_cannot_pass_the_check_of_the_balance_together(store: Store) -> None:
    member = people(store)[0]
    half = -(member["points_tally"] // 2 + 1)
    rows = [{"customer_id": member["id"], "points_amount": half, "n": n} for n in (1, 2)]
    applied = carry_out(store, replace(from_csv(store, "add_points", rows), send_email=True))
    assert sorted(states(applied)) == ["done", "skipped"]


def test_store_credits_have_a_floor_too(store: Store) -> None:
    row = {"customer_id": people(store)[0]["id"], "credits_amount": -1_000_000}
    applied = carry_out(store, from_row("add_points", row))
    assert states(applied) == ["skipped"]
    assert "store credits would become negative" in str(applied.entries[0].message)


# -- people and their addresses -------------------------------------------------------------------


def test_address_means_the_customer_who_has_it_in_rivo_now(store: Store) -> None:
    store.sync()
    old, new = people(store)[:2]
    store.program.override("customers", old["id"], store.now, email="moved@example.com")
    store.program.override("customers", new["id"], store.now, email=old["email"])
    row = {"customer_id": old["email"], "points_amount": 5, "external_note": "mail"}
    carry_out(store, from_row("add_points", row))
    assert [each["customer"]["id"] for each in landed(store, "mail")] == [new["id"]]
    unknown = carry_out(store, from_row("add_points", row | {"customer_id": "unknown@example.com"}))
    assert unknown.plan.rows[0].reason == "Rivo has no customer with this address"
    assert b"unknown@example.com" not in store.warehouse.outbox.read_bytes()


def test_open_action_of_an_erased_person_blocks_no_apply(store: Store) -> None:
    code = people(store)[0]["referral_code"]
    row = {"email": "friend@example.com", "referral_code": code, "remote_ip": "203.0.113.7"}
    with sent(store, from_row("create_referral", row), Fault("landed_500", "referrals", times=1)):
        pass
    assert erase_from_outbox(store.warehouse.outbox, Person(None, {"friend@example.com"}, -5)) == 1
    assert states(carry_out(store, points(store))) == ["done"]
    with opened(store) as acting:
        assert [entry.state for entry in acting.outbox.open()] == ["unknown"]


# -- the outbox -----------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["nothing", "an empty file", "an empty outbox"])
def test_empty_outbox_is_filled_from_the_warehouse(left: str, store: Store) -> None:
    store.sync()
    carry_out(store, points(store))
    store.selection = "stg_rivo__actions"
    store.build()
    for file in store.path.parent.glob("*.outbox.sqlite*"):
        file.unlink()
    if left == "an empty file":
        store.warehouse.outbox.touch()
        store.build()
    elif left == "an empty outbox":
        with open_outbox(store.warehouse.outbox):
            pass
        store.build()
    assert [row.decision for row in carry_out(store, points(store)).plan.rows] == ["done"]


def test_outbox_of_another_shop_is_refused(store: Store, tmp_path: Path) -> None:
    carry_out(store, points(store))
    with open_store(
        tmp_path / "other" / "rivo.duckdb", ProgramOptions(seed=9, customers=20, months=2)
    ) as other:
        other.path = store.path
        with pytest.raises(SettingsError, match="records what was sent to"):
            carry_out(other, points(other))


def test_key_of_another_shop_is_refused(store: Store, tmp_path: Path) -> None:
    with open_store(
        tmp_path / "other" / "rivo.duckdb", ProgramOptions(seed=9, customers=200, months=2)
    ) as other:
        other.sync()
        other.path.rename(store.path)
    with pytest.raises(RivoError, match="seems to be that of another shop"):
        carry_out(store, points(store))


def test_equal_action_is_not_repeated_while_the_first_one_is_unknown(store: Store) -> None:
    row = {"customer_id": people(store)[0]["id"], "points_amount": 5, "external_note": "n"}
    with sent(store, points(store), Fault("landed_500", "points_events", times=1)):
        pass
    with desk(store.settings) as looked, pytest.raises(RivoError, match="its outcome is unknown"):
        times_done(looked, "add_points", row)


def test_unknown_action_of_another_command_is_resolved_and_not_sent_by_this_one(store: Store) -> None:
    with sent(store, points(store, note="first"), Fault("http_500", "points_events", times=1)):
        pass
    loud = replace(points(store, note="second"), send_email=True)
    applied: Applied = carry_out(store, loud)
    assert (len(landed(store, "first")), len(landed(store, "second"))) == (0, 1)
    assert [(entry.state, entry.message) for entry in applied.problems] == [
        ("planned", "not found in Rivo: it was not carried out")
    ]
    assert states(carry_out(store, points(store, note="first"))) == ["done"]


def test_first_row_that_is_left_out_does_not_block_an_unconfirmed_call(store: Store) -> None:
    guest = people(store, "guest")[0]
    tier = next(iter(store.objects("vip_tiers")))
    rows = [{"customer_id": each["id"], "vip_tier_id": tier} for each in (guest, *people(store)[:2])]
    definition = from_csv(store, "set_vip_tier", rows)
    assert states(carry_out(store, definition)) == ["skipped", "done", "planned"]
    assert states(carry_out(store, definition)) == ["skipped", "done"]


@pytest.mark.parametrize(
    "call",
    ["POST /vip_tier vip_tier_id", "POST /customers/{customer_id/vip_tier vip_tier_id", "POST /{unknown}"],
)
def test_call_that_cannot_work_is_refused_before_anything_is_sent(call: str, store: Store) -> None:
    store.options["call_set_vip_tier"] = call
    with pytest.raises(SettingsError, match="RIVO_CALL_SET_VIP_TIER"):
        carry_out(store, from_row("set_vip_tier", {"customer_id": 1, "vip_tier_id": 2}))


def test_further_fields_of_a_customer_are_not_copied(store: Store) -> None:
    store.options["call_update_customer"] = "PUT /customers/{customer_id} dob phone"
    store.sync()
    row = {"customer_id": people(store)[0]["id"], "dob": "02-29", "phone": "+49 170 1234567"}
    carry_out(store, from_row("update_customer", row))
    store.selection = "stg_rivo__actions"
    store.build()
    texts = str(store.query("from rivo_actions.outbox"))
    assert "1234567" not in texts
    assert "02-29" not in texts
    assert b"1234567" not in store.warehouse.outbox.read_bytes()

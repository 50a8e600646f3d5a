"""Actions applied to the sandbox store: what lands there, what the outbox knows, and what is asked before."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.actions.entries import Entry
from pipelines.actions.erasing import erase_again_from_outbox, erase_from_outbox
from pipelines.actions.kinds import KINDS, call_of
from pipelines.actions.outbox_file import open_outbox
from pipelines.actions.plan import ActionPlan, Limits
from pipelines.actions.sending import SendOptions, send
from pipelines.errors import ApiError, RivoError, WarehouseError
from pipelines.privacy.erasure import erase
from pipelines.privacy.redaction import Redactor
from pipelines.warehouse.backup import backup, read_backup, restore_outbox
from runs.action_rows import Definition, from_file, from_row
from runs.actions import Applied, Desk, Watcher, apply, applying, desk, times_done
from sandbox import Fault, ProgramOptions
from tests.harness.store import Store, open_store, project

Attributes = dict[str, Any]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "warehouse" / "rivo.duckdb"
    path.parent.mkdir()
    with open_store(path, ProgramOptions(customers=40, months=4), options={"settle_seconds": 0.0}) as store:
        yield store


def people(store: Store, status: str = "member") -> list[Attributes]:
    rows = [row["attributes"] for row in store.objects("customers").values()]
    return [row for row in rows if row["loyalty_status"] == status]


def rich(store: Store) -> Attributes:
    return max(people(store), key=lambda row: row["points_tally"])


def fixed_reward(store: Store) -> int:
    wanted = {"enabled": True, "source": "points", "points_type": "fixed", "reward_type": "fixed_amount"}
    rows = [row["attributes"] for row in store.objects("rewards").values()]
    return next(r["id"] for r in rows if all(r[name] == value for name, value in wanted.items()))


def write(store: Store, rows: Sequence[Attributes], name: str = "people.csv") -> Path:
    file = store.path.parent / name
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


@contextmanager
def opened(store: Store) -> Iterator[Desk]:
    with applying(store.settings) as desk:
        yield desk


def carry_out(store: Store, definition: Definition, **options: Any) -> Applied:
    retry_refused = options.pop("retry_refused", False)
    with opened(store) as desk:
        applied = apply(desk, definition, Watcher(**options), retry_refused=retry_refused)
    assert applied
    return applied


def from_csv(store: Store, kind: str, rows: Sequence[Attributes], name: str = "people.csv") -> Definition:
    return from_file(project(), kind, write(store, rows, name), [])


def states(applied: Applied) -> list[str]:
    return [entry.state for entry in applied.entries]


def landed(store: Store, note: str) -> list[Attributes]:
    rows = [row["attributes"] for row in store.objects("points_events").values()]
    return [row for row in rows if row.get("external_note") == note]


def outbox_of(store: Store) -> Path:
    return store.warehouse.outbox


# -- what is sent ---------------------------------------------------------------------------------


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


# -- who must not get it --------------------------------------------------------------------------


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


# -- unknown outcomes -----------------------------------------------------------------------------


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


@contextmanager
def desk_of(store: Store) -> Iterator[Desk]:
    with desk(store.settings) as looked:
        yield looked


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


# -- differences and unconfirmed calls ------------------------------------------------------------


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


# -- the outbox -----------------------------------------------------------------------------------


def test_second_apply_is_refused_while_one_runs(store: Store) -> None:
    with (
        opened(store),
        pytest.raises(WarehouseError, match="Another command is applying actions"),
        opened(store),
    ):
        pass


def test_lost_outbox_is_filled_from_the_warehouse(store: Store) -> None:
    store.sync()
    row = {"customer_id": people(store)[0]["id"], "points_amount": 3, "credits_amount": 1.5}
    definition = from_row("add_points", row)
    [entry] = carry_out(store, definition).entries
    store.selection = "stg_rivo__actions"
    store.build()
    for file in outbox_of(store).parent.glob("*.outbox.sqlite*"):
        file.unlink()
    again = carry_out(store, definition)
    assert [row.decision for row in again.plan.rows] == ["done"]
    with open_outbox(outbox_of(store)) as outbox:
        kept = outbox.entry(entry.action_id)
    # The copy has no data that only an open action needs.
    assert replace(entry, sent_clock=None, points_before=None) == kept


def test_backup_has_the_outbox_and_a_restore_keeps_a_present_one(store: Store, tmp_path: Path) -> None:
    store.sync()
    definition = from_row("add_points", {"customer_id": people(store)[0]["id"], "points_amount": 3})
    carry_out(store, definition)
    made = backup(store.warehouse, "shop", tmp_path / "backup")
    assert not restore_outbox(made, store.warehouse), "there is one"
    for file in outbox_of(store).parent.glob("*.outbox.sqlite*"):
        file.unlink()
    assert restore_outbox(read_backup(made.folder), store.warehouse)
    assert [row.decision for row in carry_out(store, definition).plan.rows] == ["done"]
    (made.folder / "outbox.sqlite").write_bytes(b"other")
    with pytest.raises(RivoError, match="the content of the outbox differs"):
        read_backup(made.folder)


def test_person_erased_after_the_backup_is_erased_from_a_restored_outbox(
    store: Store, tmp_path: Path
) -> None:
    store.sync()
    store.options["pii_key"] = "a-key-that-cannot-be-guessed"
    person, other = people(store)[:2]
    rows = [{"customer_id": each["id"], "points_amount": 4} for each in (person, other)]
    carry_out(store, from_csv(store, "add_points", rows))
    made = backup(store.warehouse, "shop", tmp_path / "backup")
    erased = store.change(lambda work: erase(work, store.settings, str(person["id"])))
    for file in outbox_of(store).parent.glob("*.outbox.sqlite*"):
        file.unlink()
    restore_outbox(made, store.warehouse)
    with store.warehouse.read() as connection:
        erase_again_from_outbox(outbox_of(store), Redactor(connection, store.settings))
    with open_outbox(outbox_of(store)) as outbox:
        assert [outbox.entry(id).customer_id for id in (1, 2)] == [erased.key, other["id"]]


def test_single_action_can_be_repeated_on_purpose(store: Store) -> None:
    row = {"customer_id": people(store)[0]["id"], "points_amount": 3, "external_note": "twice"}
    carry_out(store, from_row("add_points", row))
    assert carry_out(store, from_row("add_points", row)).entries == []
    with desk_of(store) as looked:
        times = times_done(looked, "add_points", row)
    assert times == 1
    carry_out(store, from_row("add_points", row, repeat=times))
    assert len(landed(store, "twice")) == 2


def test_looking_at_a_plan_writes_nothing(store: Store) -> None:
    store.server.requests.clear()
    with desk_of(store) as looked:
        looked.plan(from_row("add_points", {"customer_id": 1, "points_amount": 1}))
    assert not outbox_of(store).exists()
    assert store.server.requests == []


def test_person_is_erased_from_the_outbox(store: Store) -> None:
    store.sync()
    person, other = people(store)[:2]
    rows = [
        {
            "customer_id": each["id"],
            "points_amount": 4,
            "external_note": f"Dear {each['first_name']}",
            "who": each["email"],
        }
        for each in (person, other)
    ]
    carry_out(store, from_csv(store, "add_points", rows))
    store.options["pii_key"] = "a-key-that-cannot-be-guessed"
    with store.warehouse.build() as work:
        erased = erase(work, store.settings, str(person["id"]))
    assert erase_from_outbox(outbox_of(store), erased) == 1
    content = b"".join(file.read_bytes() for file in outbox_of(store).parent.glob("*.outbox.sqlite*"))
    for text in (str(person["id"]), f"Dear {person['first_name']}"):
        assert text.encode() not in content
    assert str(other["id"]).encode() in content
    with open_outbox(outbox_of(store)) as outbox:
        assert [outbox.entry(id).customer_id for id in (1, 2)] == [erased.key, other["id"]]
    assert erase_from_outbox(outbox_of(store), erased) == 0


# -- wrong input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("customer_id,points\n1,5\n", "Did you mean points_amount"),
        ("points_amount\n5\n", "needs the column customer_id"),
        ("customer_id,points_amount\n1\n", "line 2 has another number of values"),
        ("", "the first line must name each column once"),
        ("customer_id,customer_id\n1,2\n", "the first line must name each column once"),
    ],
)
def test_wrong_file_is_refused_before_anything_is_sent(text: str, message: str, store: Store) -> None:
    file = store.path.parent / "wrong.csv"
    file.write_text(text)
    with pytest.raises(RivoError, match=message):
        carry_out(store, from_file(project(), "add_points", file, []))
    with pytest.raises(RivoError, match=r"missing.csv cannot be read \(No such file or directory\)"):
        from_file(project(), "add_points", file.with_name("missing.csv"), [])
    with pytest.raises(RivoError, match="There is no action no_such_thing"):
        from_file(project(), "no_such_thing", write(store, [{"customer_id": 1}]), [])

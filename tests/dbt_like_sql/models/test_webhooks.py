"""Deliveries about VIP tiers in the models: when a change happened, and what syncs deny or webhooks missed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sandbox import Event, Program, ProgramOptions
from sandbox.clock import iso, to_ms
from sandbox.webhooks import events_between
from tests.dbt_like_sql.models.stores import STATES, open_observed_store
from tests.harness.deliveries import keep
from tests.harness.store import DAY, Store

SELECTION = "+fct_tier_change +int_tier_deliveries"
OPTIONS = ProgramOptions(seed=7, customers=120, months=8)


def moment(event: Event) -> datetime:
    return datetime.fromisoformat(event.body["started_at"])


def key(event: Event) -> tuple[int, int]:
    return event.body["customer"]["id"], event.body["vip_tier_id"]


def tier_events(program: Program, since: datetime, until: datetime) -> list[Event]:
    """Return the tier changes of members that the simulation has in a period."""
    return [
        each for each in events_between(program, since, until) if each.topic.startswith("customer_vip_tier/")
    ]


def announce(store: Store, events: list[Event]) -> None:
    keep(store.path, store.settings, events)


def said(customer: int, tier: int | None, at: datetime, id: str) -> Event:
    body = {"vip_tier_id": tier, "started_at": iso(to_ms(at)), "customer": {"id": customer}}
    return Event("customer_vip_tier/upgraded", body, id)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store after a sync, whose models are those of tier changes."""
    with open_observed_store(Program(OPTIONS), tmp_path, selection=SELECTION) as store:
        store.sync(*STATES, at=OPTIONS.end - 30 * DAY, models=True)
        yield store


def changes(store: Store) -> dict[tuple[int, int], dict[str, Any]]:
    rows = store.dicts("from marts.fct_tier_change where to_tier_id is not null")
    return {(row["customer_id"], row["to_tier_id"]): row for row in rows}


def judged(store: Store) -> dict[str, bool | None]:
    return {
        row["delivery_id"]: row["is_confirmed"]
        for row in store.dicts("from intermediate.int_tier_deliveries")
    }


def test_change_without_a_webhook_has_no_time(store: Store) -> None:
    store.sync(*STATES, at=OPTIONS.end, models=True)

    found = changes(store)
    assert found
    assert {(row["changed_at"], row["changed_at_basis"]) for row in found.values()} == {(None, None)}


def test_change_has_the_time_of_its_webhook_however_late_and_out_of_order(store: Store) -> None:
    start = store.now
    events = tier_events(store.program, start, OPTIONS.end)
    last = {key(event)[0]: event for event in events}
    Random(7).shuffle(events)
    announce(store, events[::2])
    store.sync(*STATES, at=OPTIONS.end, models=True)
    # The other half arrives after the sync.
    announce(store, [*events[1::2], *events[:3]])
    store.build()

    found = changes(store)
    timed = {place: row["changed_at"] for place, row in found.items() if row["changed_at"]}
    expected = {key(event): moment(event) for event in last.values() if key(event) in found}
    assert len(expected) > 3
    assert timed == expected
    assert {found[place]["changed_at_basis"] for place in timed} == {"webhook"}
    assert False not in judged(store).values()


def test_time_outside_the_two_observations_is_not_used(store: Store) -> None:
    before, end = store.now, OPTIONS.end
    [event, *_] = tier_events(store.program, before, end)
    customer, tier = key(event)
    announce(
        store,
        [
            said(customer, tier, before, "at the observation before"),
            said(customer, tier, end + timedelta(seconds=1), "after the observation"),
            said(customer, 1, end - DAY, "another tier"),
            Event("points_event/created", said(customer, tier, end - DAY, "").body, "another topic"),
        ],
    )
    store.sync(*STATES, at=end, models=True)
    assert changes(store)[customer, tier]["changed_at"] is None

    announce(store, [said(customer, tier, end, "at the observation")])
    store.build()

    assert changes(store)[customer, tier]["changed_at"] == end


def test_what_the_next_sync_denies_is_not_confirmed(store: Store) -> None:
    start = store.now
    silent = [
        customer
        for (customer,) in store.query(
            "select id from rivo_raw.customers where loyalty_status = 'member' order by id"
        )
        if customer
        not in {key(event)[0] for event in tier_events(store.program, start, OPTIONS.end + 5 * DAY)}
    ]
    [held] = {
        tier for (tier,) in store.query("select vip_tier_id from rivo_raw.customers where id = ?", silent[0])
    }
    tiers = [tier for (tier,) in store.query("select id from rivo_raw.vip_tiers order by id") if tier != held]
    one, other = silent[:2]
    [held_by_other] = store.query("select vip_tier_id from rivo_raw.customers where id = ?", other)[0]
    announce(
        store,
        [
            said(one, tiers[0], start + 2 * DAY, "false"),
            # There and back within the interval: the last one counts.
            said(one, held, start + 1 * DAY, "earlier"),
            said(other, tiers[0] if held_by_other != tiers[0] else tiers[1], start + 1 * DAY, "there"),
            said(other, held_by_other, start + 2 * DAY, "and back"),
            said(999, tiers[0], start + 2 * DAY, "unknown customer"),
            said(silent[2], None, start + 2 * DAY, "no tier named"),
            said(silent[3], tiers[0], OPTIONS.end + DAY, "not observed yet"),
        ],
    )
    store.sync(*STATES, at=OPTIONS.end, models=True)

    assert judged(store) == {
        "false": False,
        "earlier": None,
        "there": None,
        "and back": True if held_by_other else None,
        "unknown customer": None,
        "no tier named": None,
        "not observed yet": None,
    }


def test_change_while_the_customers_are_read_is_not_denied(store: Store) -> None:
    end = OPTIONS.end
    customer, tier, lower = 0, 0, 0
    for event in tier_events(store.program, store.now, end):
        (customer, tier) = key(event)
    lower = next(id for (id,) in store.query("select id from rivo_raw.vip_tiers order by id") if id != tier)
    announce(
        store,
        [
            said(customer, lower, end - timedelta(minutes=1), "before the first request"),
            said(customer, tier, end + timedelta(minutes=1), "before the page with the customer"),
        ],
    )
    store.sync(*STATES, at=end, models=True)

    assert judged(store)["before the first request"] is None


def test_data_trust_reports_denied_and_missed_changes(tmp_path: Path) -> None:
    with open_observed_store(
        Program(OPTIONS), tmp_path, selection="+rpt_data_trust +fct_tier_change"
    ) as store:

        def trust() -> dict[str, tuple[str, int, int]]:
            rows = store.dicts("from reports.rpt_data_trust where starts_with(check_name, 'webhook')")
            return {
                row["check_name"]: (row["status"], int(row["affected"]), int(row["checked"])) for row in rows
            }

        store.sync(at=OPTIONS.end - 6 * DAY)
        store.sync(*STATES, at=OPTIONS.end, models=True)
        moves = len(changes(store))
        assert moves > 1
        assert trust() == {"webhook_tiers_denied": ("ok", 0, 0), "webhook_tiers_missed": ("ok", 0, 0)}

        events = {
            key(event)[0]: event for event in tier_events(store.program, OPTIONS.end - 6 * DAY, OPTIONS.end)
        }
        true = [event for event in events.values() if key(event) in changes(store)]
        # Webhooks have been in use for longer than the interval.
        first = said(1, 1, OPTIONS.end - 7 * DAY, "first")
        announce(store, [first, *true[1:]])
        store.build()
        confirmed = len(true) - 1
        assert trust() == {
            "webhook_tiers_denied": ("ok", 0, confirmed),
            "webhook_tiers_missed": ("note", moves - confirmed, moves),
        }

        tier = next(
            id
            for (id,) in store.query("select id from rivo_raw.vip_tiers order by id")
            if id != key(true[0])[1]
        )
        announce(store, [said(key(true[0])[0], tier, OPTIONS.end - timedelta(minutes=1), "false")])
        store.build()

        assert trust()["webhook_tiers_denied"] == ("attention", 1, confirmed + 1)
        assert f"did not hold at the next sync: 1 of {confirmed + 1}." in str(
            store.finished and store.finished.findings
        )

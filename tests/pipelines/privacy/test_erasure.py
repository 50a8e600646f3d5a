"""Erasure of a person: no trace is left, later syncs do not load the person again, and totals stay equal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipelines.errors import RivoError, SettingsError
from pipelines.privacy.erasure import Person, delete_unrecognisable, erase
from pipelines.warehouse import Build
from tests.harness.store import Store
from tests.pipelines.privacy.conftest import OpenStore
from tests.pipelines.privacy.traces import PEOPLE, TOTALS_SELECTION, totals, traces

CUSTOMER_IN_EVERY_LIST = """
    select c.id, c.email, c.referral_code
    from rivo_raw.customers as c
    where c.id in (select referrer_customer_id from rivo_raw.referrals)
        and c.id in (select customer_id from rivo_raw.points_redemptions)
    order by c.id limit 1
"""


def erasing(store: Store, customer: object) -> Callable[[Build], Person]:
    return lambda work: erase(work, store.settings, str(customer))


def test_erasure_leaves_no_trace_keeps_totals_and_survives_the_next_sync(open_store: OpenStore) -> None:
    store, twin = open_store("synced"), open_store("synced")
    # What the two are compared by.
    twin.selection = f"{TOTALS_SELECTION} +rpt_member_rfm +fct_points_ledger +fct_referral"
    id, email, code = store.query(CUSTOMER_IN_EVERY_LIST)[0]
    words = [str(id), email, code]
    versions = store.query(f"select count(*) from rivo_raw.customers_history where id = {id}")
    assert len(traces(store, words)) >= 5, "in the tables and in the bytes of the file"
    before = totals(store)

    store.build(prepare=erasing(store, id))

    assert traces(store, words) == []
    assert totals(store) == before
    [(key,)] = store.query("select distinct customer_key from rivo_raw._forgotten")
    assert key < 0
    assert versions == store.query(f"select count(*) from rivo_raw.customers_history where id = {key}")
    left = f"select first_name, last_name, dob, referral_url from rivo_raw.customers where id = {key}"
    assert store.query(left) == [(None,) * 4]
    comments = store.query("select count(comment) from duckdb_columns() where schema_name = 'rivo_raw'")
    assert comments[0][0] > 150, "the rewritten file keeps the column comments"

    # Rivo still lists the person, with a new address and new events, and names the person in unexpected places.
    for each in (store, twin):
        program = each.program
        each.wait(7)
        now = each.now
        program.override("customers", id, at=now, email="new.address@example.com", nickname=email)
        program.insert(
            "points_events",
            {"points_diff": 40, "customer": {"id": id, "email": email}, "title": f"For {id}"},
            at=now,
        )
        other = program.snapshot(now)["points_events"][0]["id"]
        program.override("points_events", other, at=now, title=f"from {email.upper()}")
        program.override("rewards", program.snapshot(now)["rewards"][0]["id"], at=now, name=f"{code} {email}")
        program.insert(
            "referrals", {"advocate_email": "New.Address@example.com", "status": "pending"}, at=now
        )
    for each in (store, twin):
        each.sync(full=True, models=True)
    words.append("new.address@example.com")
    assert traces(store, words) == []
    assert traces(twin, words)
    counted = (
        "select list, kind, rows_new, rows_deleted, rows_quarantined from rivo_raw.sync_log order by all"
    )
    assert store.query(counted) == twin.query(counted)
    assert {n: t for n, t in totals(store).items() if n != "rpt_reward_performance"} == {
        n: t for n, t in totals(twin).items() if n != "rpt_reward_performance"
    }
    # The opaque key has the same figures as the id in the warehouse without an erasure.
    segment = "select segment, tier_name, points_balance from reports.rpt_member_rfm where customer_id = {}"
    assert store.query(segment.format(key)) == twin.query(segment.format(id)) != []
    ledger = "select sum(amount), count(*) from marts.fct_points_ledger where customer_id = {}"
    assert store.query(ledger.format(key)) == twin.query(ledger.format(id)) != [(None, 0)]
    sent = "select count(*) from marts.fct_referral where advocate_customer_id = {}"
    assert store.query(sent.format(key)) == twin.query(sent.format(id))

    # Reading the same rows again changes nothing.
    changed = {n: r.counts.rows_changed for n, r in store.sync(full=True).items()}
    assert not any(changed.values())
    assert traces(store, words) == []


def test_erasure_replaces_the_person_in_texts_of_histories_without_new_versions(
    open_store: OpenStore,
) -> None:
    store = open_store("first_sync")
    id, email, _ = store.query(CUSTOMER_IN_EVERY_LIST)[0]
    program = store.program
    reward = program.snapshot(store.now)["rewards"][0]["id"]
    for name in (f"For {id}", f"A gift for {email.upper()}"):
        store.wait()
        program.override("rewards", reward, at=store.now, name=name)
        store.sync("rewards")
    versions = f"select valid_from, valid_to from rivo_raw.rewards_history where id = {reward} order by all"
    before = store.query(versions)
    assert len(before) == 3

    store.change(erasing(store, id))
    assert traces(store, [str(id), email]) == []
    store.wait()
    store.sync()

    assert traces(store, [str(id), email]) == []
    assert store.query(versions) == before


def test_erasure_of_a_short_id_leaves_equal_numbers_alone(open_store: OpenStore) -> None:
    id = 1001
    store = open_store("first_sync")
    program, now = store.program, store.wait()
    program.insert("customers", {"email": "ada@example.com", "loyalty_status": "member"}, at=now, id=id)
    event = {"points_diff": id, "customer": {"id": id, "email": "ada@example.com"}, "title": f"{id} points"}
    program.insert("points_events", event, at=now, id=id)
    other = next(row["id"] for row in program.snapshot(now)["customers"] if row["id"] != id)
    program.insert("points_events", {"points_diff": id, "customer": {"id": other}}, at=now, id=id + 1)
    store.selection = TOTALS_SELECTION
    store.sync("customers", "points_events", full=True, models=True)
    before = totals(store)
    columns = "id, points_diff, title, customer_id"
    events = f"select {columns} from rivo_raw.points_events where id in ({id}, {id + 1}) order by id"

    store.build(prepare=erasing(store, id))
    left = store.query(events)
    store.sync("customers", "points_events", full=True, models=True)

    assert left == store.query(events)
    key = left[0][3]
    assert key < 0
    assert left == [(id, id, f"{id} points", key), (id + 1, id, "By hand", other)]
    assert totals(store) == before
    assert traces(store, ["ada@example.com"]) == []


@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_erasure_lasts_when_rivo_pii_changes(open_store: OpenStore, mode: str) -> None:
    store = open_store(pii=mode)
    id, email, code = open_store("synced").query(CUSTOMER_IN_EVERY_LIST)[0]
    store.sync(*PEOPLE)
    store.change(erasing(store, email if mode == "hash" else id))
    assert traces(store, [str(id)]) == []
    results = store.sync(*PEOPLE, full=True)
    assert traces(store, [str(id)]) == []
    assert sum(r.counts.rows_changed + r.counts.rows_new for r in results.values()) == 0
    store.options["pii"] = "keep"
    store.wait(0.01)
    store.sync(*PEOPLE)
    assert traces(store, [str(id), email, code]) == []


def test_erasure_of_an_address_that_only_referrals_know(open_store: OpenStore) -> None:
    store = open_store("first_sync")
    store.program.insert(
        "referrals", {"referred_email": "friend@example.com", "status": "pending"}, at=store.wait()
    )
    store.sync("referrals")
    assert traces(store, ["friend@example.com"])
    store.change(erasing(store, " Friend@example.com"))
    store.sync("referrals", full=True)
    assert traces(store, ["friend@example.com"]) == []


def test_erasure_refuses_a_shared_address_and_leaves_the_other_customer_alone(open_store: OpenStore) -> None:
    store = open_store("first_sync")
    program, now = store.program, store.wait()
    first, second, *_ = [row["id"] for row in program.snapshot(now)["customers"]]
    for id in (first, second):
        program.override("customers", id, at=now, email="both@example.com")
    store.sync("customers")
    with pytest.raises(
        RivoError, match=f"2 customers have that address: {first}, {second}. Erase each of them by id"
    ):
        store.change(erasing(store, "both@example.com"))
    store.change(erasing(store, first))
    store.sync(*PEOPLE)
    emails = f"select count(*) from rivo_raw.customers where email = 'both@example.com' and id = {second}"
    assert store.query(emails) == [(1,)]
    assert traces(store, [str(first)]) == []


def test_erasure_refuses_an_unknown_customer_or_a_missing_key(open_store: OpenStore) -> None:
    store = open_store("first_sync")
    for customer, sentence in (
        ("4711", "There is no customer 4711 in the warehouse"),
        ("nobody@example.com", "No customer or referral in the warehouse has the address nobody@example.com"),
        ("Ada", "'Ada' is neither a Shopify customer id nor an e-mail address"),
    ):
        with pytest.raises(RivoError, match=sentence):
            store.change(erasing(store, customer))
    [(id,)] = store.query("select min(id) from rivo_raw.customers")
    for part in (str(id)[3:6], str(id)[:-1]):
        with pytest.raises(RivoError, match=f"There is no customer {part} in the warehouse"):
            store.change(erasing(store, part))
    store.options["pii_key"] = None
    with pytest.raises(SettingsError, match=r"RIVO_PII_KEY is not set, .*openssl rand"):
        store.change(erasing(store, id))


def test_erasure_repeated_keeps_the_key(open_store: OpenStore) -> None:
    store = open_store("first_sync")
    [(id, email)] = store.query(
        "select id, email from rivo_raw.customers where email is not null order by id limit 1"
    )
    once = store.change(erasing(store, id))
    assert store.change(erasing(store, id)).key == once.key
    with pytest.raises(RivoError, match="has already been erased"):
        store.change(erasing(store, email))


def test_sync_refuses_another_key_until_the_lost_one_is_given_up(open_store: OpenStore) -> None:
    store = open_store("first_sync")
    [(id,)] = store.query("select min(id) from rivo_raw.customers")
    store.change(erasing(store, id))
    for key in (None, "another key, just as long"):
        store.options["pii_key"] = key
        with pytest.raises(
            SettingsError, match="RIVO_PII_KEY differs from the key under which 1 person was erased"
        ):
            store.sync()
    assert store.change(lambda work: delete_unrecognisable(work.connection, store.settings)) == 1
    store.sync()
    assert store.query(f"select count(*) from rivo_raw.customers where id = {id}") == [(1,)]

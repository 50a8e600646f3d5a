"""RIVO_PII in a warehouse: the rows that a sync writes, a later change of the setting, and the models."""

from __future__ import annotations

import pytest

from pipelines.errors import SettingsError
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from tests.harness.store import Store
from tests.pipelines.privacy.conftest import OpenStore
from tests.pipelines.privacy.traces import PEOPLE, personal_words, traces, values

LEAK = "Wanda Tattle"
LISTS = tuple(ENDPOINTS)
# Without sync_log, which grows with every sync.
CONTENT = (*LISTS, "customers_history", "rewards_history")


def _leak(store: Store) -> set[str]:
    """Put personal data into unexpected attributes of the store's rows; return the words to look for."""
    program, now = store.server.program, store.server.now
    lists = program.snapshot(now)
    customers = [row["id"] for row in lists["customers"]]
    program.override("customers", customers[0], at=now, nickname=LEAK, phone=4915112345678)
    program.override("customers", customers[1], at=now, address={"lines": [{"who": LEAK}]})
    # Cannot be typed: the whole row is quarantined.
    program.override("customers", customers[2], at=now, points_tally=f"{LEAK}'s points")
    event = lists["points_events"][-1]
    nested = {**(event["attributes"]["customer"] or {}), "default_address": {"name": LEAK}}
    program.override(
        "points_events",
        event["id"],
        at=now,
        customer=nested,
        title="Thanks to wanda@tattle.example",
        internal_note=LEAK,
    )
    referral = lists["referrals"][-1]["id"]
    program.override("referrals", referral, at=now, additional_details={"deep": [{"est": LEAK}]})
    return {LEAK, "wanda@tattle.example", "4915112345678"} | personal_words(store.server)


def test_keep_stores_all_personal_data(open_store: OpenStore) -> None:
    store = open_store()
    words = _leak(store)
    store.sync(*PEOPLE)
    kept = values(store)
    assert [word for word in words if word not in kept] == []


@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_hash_and_drop_let_no_personal_data_in_and_all_models_pass(open_store: OpenStore, mode: str) -> None:
    store = open_store(pii=mode)
    words = _leak(store)
    store.sync(models=True)
    assert traces(store, words) == []
    assert store.query("select count(*) from rivo_raw._quarantine") == [(1,)]

    # A second sync of the same rows sees no change.
    assert {
        name: result.counts.rows_changed for name, result in store.sync(full=True).items()
    } == dict.fromkeys(LISTS, 0)
    links = "select count(*), count(distinct customer_id) from marts.fct_points_ledger"
    assert store.query(links) > [(100, 20)]
    if mode == "hash":
        joined = (
            "select count(*) from rivo_raw.referrals as r join rivo_raw.customers as c "
            "on c.id = r.referrer_customer_id where c.email = r.advocate_email"
        )
        known = "select count(*) from rivo_raw.referrals where referrer_customer_id is not null"
        assert store.query(joined) == store.query(known) != [(0,)]
    else:
        assert store.query("select count(email) + count(dob) from rivo_raw.customers") == [(0,)]


def test_changed_setting_converts_the_stored_rows(open_store: OpenStore) -> None:
    store = open_store()
    words = _leak(store)
    store.sync()
    kept = store.contents(*CONTENT)
    assert traces(store, words)

    store.options["pii"] = "hash"
    results = store.sync("vip_tiers")
    assert traces(store, words) == [], "neither in tables nor in free blocks of the file"
    assert results["vip_tiers"].complete
    hashed = store.contents(*CONTENT)
    again = store.sync()
    assert sum(result.counts.rows_changed for result in again.values()) == 0, (
        "converted rows equal rows read under the new setting"
    )
    assert store.contents(*CONTENT) == hashed

    store.options["pii"] = "drop"
    store.sync("vip_tiers")
    assert store.query("select count(email) + count(referral_code) from rivo_raw.customers") == [(0,)]
    assert store.query("select count(advocate_email) from rivo_raw.referrals") == [(0,)]

    store.options["pii"] = "keep"
    store.wait(0.01)
    results = store.sync()
    assert {result.kind for result in results.values()} == {"full"}, (
        "a cursor read would not load the personal data again"
    )
    emails = "select id, email from rivo_raw.customers order by id"
    notes = "select id, internal_note from rivo_raw.points_events order by id"
    addresses = "select id, advocate_email, additional_details from rivo_raw.referrals order by id"
    fresh = Store(store.server, store.path.with_name("fresh.duckdb"), store.options)
    fresh.sync(*PEOPLE)
    for sql in (emails, notes, addresses):
        assert store.query(sql) == fresh.query(sql)
    assert [row[0] for row in kept["customers"]] == [
        row[0] for row in store.contents("customers")["customers"]
    ]
    store.wait(1)
    assert {result.kind for result in store.sync("rewards", "referrals").values()} == {
        "full",
        "incremental",
    }


@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_changed_setting_converts_histories_without_new_versions(open_store: OpenStore, mode: str) -> None:
    store = open_store()
    program = store.program
    reward = program.snapshot(store.now)["rewards"][0]["id"]
    versions = f"select count(*), count(valid_to) from rivo_raw.rewards_history where id = {reward}"
    for name in ("By first@staff.example", "By second@staff.example"):
        store.wait()
        program.override("rewards", reward, at=store.now, name=name)
        store.sync("customers", "rewards")
    store.change(
        lambda work: work.connection.execute(
            "alter table rivo_raw.customers_history add column nickname varchar; "
            f"update rivo_raw.customers_history set nickname = '{LEAK}'"
        )
    )
    assert store.query(versions) == [(2, 1)]
    tracked = "select id, valid_from, valid_to from rivo_raw.customers_history order by all"
    before = store.query(tracked)

    store.options["pii"] = mode
    store.wait(0.01)
    store.sync("customers", "rewards", full=True)

    assert traces(store, [LEAK, "first@staff.example", "second@staff.example"]) == []
    assert store.query(versions) == [(2, 1)], "a converted version is not a new version"
    assert store.query(tracked) == before


def test_changed_key_hashes_all_personal_data_again(open_store: OpenStore) -> None:
    store = open_store(pii="hash")
    store.sync("customers", "referrals")
    before = store.query("select email from rivo_raw.customers where email is not null order by id limit 1")
    store.options["pii_key"] = "another key, just as long"
    store.wait(0.01)
    store.sync("customers", "referrals")
    after = store.query("select email from rivo_raw.customers where email is not null order by id limit 1")
    assert before != after
    joined = (
        "select count(*) from rivo_raw.referrals as r join rivo_raw.customers as c "
        "on c.id = r.referrer_customer_id where c.email is distinct from r.advocate_email"
    )
    assert store.query(joined) == [(0,)]


def test_hash_without_a_key_explains_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_PII", "hash")
    with pytest.raises(
        SettingsError, match=r"RIVO_PII_KEY: is required for RIVO_PII=hash. Create one with `openssl"
    ):
        Settings.load()
    monkeypatch.setenv("RIVO_PII_KEY", "short-secret")
    with pytest.raises(SettingsError, match="16 characters") as caught:
        Settings.load()
    assert "short-secret" not in str(caught.value)
    monkeypatch.setenv("RIVO_PII", "hide")
    with pytest.raises(SettingsError, match="RIVO_PII: Input should be 'keep', 'hash' or 'drop'"):
        Settings.load()

"""Whole syncs: raw tables equal the store, a second sync changes nothing, the next day brings that day's changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pipelines.errors import ApiError
from pipelines.rivo.endpoints import ENDPOINTS
from tests.harness.compare import differences, expected, found
from tests.harness.store import DAY, Store
from tests.pipelines.conftest import OpenStore

LISTS = set(ENDPOINTS)
CURSOR_LISTS = {name for name, endpoint in ENDPOINTS.items() if endpoint.reading == "cursor"}


def all_differences(store: Store) -> list[str]:
    return [
        said
        for name, endpoint in ENDPOINTS.items()
        for said in differences(endpoint, store.table(name), store.objects(name))
    ]


def changed_ids(name: str, before: dict[int, Any], after: dict[int, Any]) -> set[int]:
    """Return the rows that differ between two answers in a declared column, nested snapshots aside."""
    own = [column for column in ENDPOINTS[name].columns if not column.volatile]
    return {
        id
        for id in before.keys() & after.keys()
        if any(expected(c, before[id]) != expected(c, after[id]) for c in own)
    }


def test_first_sync_loads_every_attribute_of_every_row(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    assert all_differences(store) == []
    log = {row["list"]: row for row in store.dicts("from rivo_raw.sync_log")}
    assert log.keys() == LISTS
    for name, row in log.items():
        count = len(store.objects(name))
        assert row["observed_at"] == store.now
        assert (row["kind"], row["complete"], row["error"]) == ("full", True, None)
        assert (row["rows_read"], row["rows_new"]) == (count, count)
        assert (row["rows_changed"], row["rows_deleted"], row["rows_quarantined"]) == (0, 0, 0)
        assert row["requests"] >= 1
        assert row["seconds"] > 0
        seen = store.query(f"select distinct _first_seen_at, _last_seen_at, _deleted_at from rivo_raw.{name}")
        assert seen == [(store.now, store.now, None)]


def test_second_sync_at_the_same_time_changes_nothing(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    before = store.contents()
    results = store.sync()
    after = store.contents()
    assert before.keys() == after.keys()
    assert len(after.pop("sync_log")) == len(before.pop("sync_log")) + len(LISTS)
    for name, rows in before.items():
        assert after[name] == rows, name
    assert len(after["_dlt_loads"]) == len(before["_dlt_loads"])
    for name, result in results.items():
        counts = result.counts
        assert (counts.rows_new, counts.rows_changed, counts.rows_deleted) == (0, 0, 0)
        assert result.kind == ("incremental" if name in CURSOR_LISTS else "full")


def test_next_day_sync_counts_exactly_the_changes_of_that_day(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    yesterday = {name: store.objects(name) for name in LISTS}
    first = store.now
    now = store.wait()
    results = store.sync()
    assert all_differences(store) == []
    for name in LISTS:
        today, rows = store.objects(name), store.table(name)
        new, changed = today.keys() - yesterday[name].keys(), changed_ids(name, yesterday[name], today)
        counts = results[name].counts
        assert (counts.rows_new, counts.rows_changed, counts.rows_deleted) == (len(new), len(changed), 0)
        assert {id for id, row in rows.items() if row["_first_seen_at"] == now} == new
        assert {row["_first_seen_at"] for row in rows.values()} <= {first, now}
        since = min((int(p["pagination[since_id]"]) for p in store.sent(name)), default=0)
        for id, row in rows.items():
            assert row["_last_seen_at"] == (now if id > since else first)


def test_daily_syncs_with_full_sweeps_end_equal_to_the_store(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    store.options = {"full_sweep_days": 3, "lookback_days": 5}
    kinds = []
    lists = ("points_events", "referrals")
    for _ in range(6):
        store.wait()
        kinds.append(store.sync(*lists)["points_events"].kind)
    assert kinds == ["incremental", "incremental", "full"] * 2
    # After a full sweep everything equals the store.
    assert [said for said in all_differences(store) if said.startswith(lists)] == []


def test_full_sweep_can_be_requested_and_be_the_rule(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    assert store.sync("referrals", full=True)["referrals"].kind == "full"
    assert store.sync("referrals")["referrals"].kind == "incremental"
    store.options = {"full_sweep_days": 0}
    assert store.sync("referrals")["referrals"].kind == "full"


def first_since_id(store: Store, name: str) -> int:
    return int(store.sent(name)[0]["pagination[since_id]"])


@pytest.mark.parametrize("lookback", [0, 1, 10, 30])
def test_events_are_read_from_smallest_id_of_lookback(open_store: OpenStore, lookback: int) -> None:
    store = open_store(loaded=True)
    store.options = {"lookback_days": lookback}
    held = {id: row["applied_at"] for id, row in store.table("points_events").items()}
    store.wait(0.5)
    store.sync("earning_rules", "points_events")
    recent = [id for id, applied_at in held.items() if applied_at >= store.now - lookback * DAY]
    assert first_since_id(store, "points_events") == (min(recent) - 1 if recent else max(held))
    assert {p["pagination[limit]"] for p in store.sent("points_events")} == {"250"}


def test_redemptions_and_referrals_are_read_from_smallest_open_id(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    redemptions, referrals = store.table("points_redemptions"), store.table("referrals")
    store.wait()
    store.sync("earning_rules", "points_redemptions", "referrals")
    floor = store.now - 180 * DAY
    open_redemptions = [
        id
        for id, row in redemptions.items()
        if row["used_at"] is None
        and row["revoked_at"] is None
        and (row["expires_at"] is None or row["expires_at"] >= store.now)
        and row["applied_at"] >= floor
    ]
    open_referrals = [
        id
        for id, row in referrals.items()
        if row["status"] in ("unclaimed", "pending") and row["created_at"] >= floor
    ]
    assert first_since_id(store, "points_redemptions") == min(open_redemptions) - 1 > 0
    assert first_since_id(store, "referrals") == min(open_referrals, default=max(referrals) + 1) - 1


def test_late_revocation_is_seen_within_lookback_or_by_full_sweep(
    open_store: OpenStore,
) -> None:
    store = open_store(loaded=True)
    held = sorted(store.table("points_events").items())
    old = next(id for id, row in held if row["applied_at"] < store.now - 40 * DAY)
    recent = next(id for id, row in held if row["applied_at"] > store.now - 20 * DAY)
    later = store.wait()
    for id in (old, recent):
        store.program.override("points_events", id, at=later, revoked_at=later)
    result = store.sync("earning_rules", "points_events")["points_events"]
    assert result.kind == "incremental"
    assert store.table("points_events")[recent]["revoked_at"] == later
    assert store.table("points_events")[old]["revoked_at"] is None
    store.wait(6)
    assert store.sync("earning_rules", "points_events")["points_events"].kind == "full", (
        "seven days after the last one"
    )
    assert store.table("points_events")[old]["revoked_at"] == later


def test_backdated_events_arrive_with_their_new_ids(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    customer = next(iter(store.table("customers")))
    now = store.wait()
    id = store.program.insert(
        "points_events",
        {"customer": {"id": customer}, "points_diff": 50, "applied_at": now - 300 * DAY},
        at=now,
    )
    store.sync("earning_rules", "points_events")
    assert store.table("points_events")[id]["applied_at"] == now - 300 * DAY


def test_empty_store_has_all_tables_and_no_rows(open_store: OpenStore) -> None:
    store = open_store(customers=0)
    results = store.sync("customers", "points_events", "points_redemptions", "referrals")
    assert all(result.complete and result.counts.rows_read == 0 for result in results.values())
    contents = store.contents()
    assert LISTS | {"customers_history", "sync_log", "settings", "_quarantine"} <= contents.keys()
    assert [name for name, rows in contents.items() if rows] == ["settings", "sync_log"]
    store.wait()
    assert store.sync("points_events")["points_events"].complete


def test_observed_at_of_one_cursor_list_is_the_api_time(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    now = store.wait()
    result = store.sync("points_events")["points_events"]
    assert (result.observed_at, result.kind) == (now, "incremental")
    assert result.requests == len(store.sent("points_events"))
    assert store.query("select max(_last_seen_at) from rivo_raw.points_events") == [(now,)]


@pytest.mark.parametrize("back", [1, 3600])
def test_clock_running_backwards_is_refused(open_store: OpenStore, back: int) -> None:
    store = open_store(loaded=True)
    before = store.contents()
    store.server.now -= timedelta(seconds=back)
    for name in ("customers", "points_events"):
        with pytest.raises(ApiError, match="histories cannot run backwards"):
            store.sync(name)
    assert store.contents() == before


def test_legacy_attribute_names_land_in_present_columns(open_store: OpenStore) -> None:
    store = open_store(customers=12, legacy_keys=True)
    objects = store.objects("customers")
    result = store.sync("customers")["customers"]
    rows = store.table("customers")
    assert result.new_columns == ()
    assert rows.keys() == objects.keys()
    for id, row in rows.items():
        obj = objects[id]
        assert row["points_tally"] == obj["attributes"]["loyalty_points_tally"] is not None
        for column in ENDPOINTS["customers"].columns:
            assert found(column, row) == expected(column, obj)


def test_ids_beyond_53_bits_stay_exact(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    id, customer = 2**53 + 1, 2**62 + 1
    now = store.wait()
    store.program.insert(
        "points_events", {"customer": {"id": customer}, "points_diff": 10**12 - 1}, at=now, id=id
    )
    for _ in range(2):
        result = store.sync("points_events")["points_events"]
        row = store.table("points_events")[id]
        assert (row["customer_id"], row["points_diff"]) == (customer, 10**12 - 1)
        assert f'"id":{customer}' in row["customer"]
    assert result.counts.rows_changed == 0

"""Whole syncs: the raw tables equal the store, a second sync changes nothing, a day brings that day's changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pipelines.errors import ApiError
from pipelines.rivo.endpoints import ENDPOINTS
from tests.pipelines.conftest import OpenShop
from tests.pipelines.shop import DAY, Shop, differences, expected, found

LISTS = set(ENDPOINTS)
CURSOR_LISTS = {name for name, endpoint in ENDPOINTS.items() if endpoint.reading == "cursor"}


def all_differences(shop: Shop) -> list[str]:
    return [
        said
        for name, endpoint in ENDPOINTS.items()
        for said in differences(endpoint, shop.rows(name), shop.objects(name))
    ]


def changed_ids(name: str, before: dict[int, Any], after: dict[int, Any]) -> set[int]:
    """The rows in which a declared column that is no nested snapshot differs between two answers."""
    own = [column for column in ENDPOINTS[name].columns if not column.volatile]
    return {
        id
        for id in before.keys() & after.keys()
        if any(expected(c, before[id]) != expected(c, after[id]) for c in own)
    }


def test_a_first_sync_holds_every_attribute_of_every_row(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    assert all_differences(shop) == []
    log = {row["list"]: row for row in shop.dicts("from rivo_raw.sync_log")}
    assert log.keys() == LISTS
    for name, row in log.items():
        count = len(shop.objects(name))
        assert row["observed_at"] == shop.now
        assert (row["kind"], row["complete"], row["error"]) == ("full", True, None)
        assert (row["rows_read"], row["rows_new"]) == (count, count)
        assert (row["rows_changed"], row["rows_deleted"], row["rows_quarantined"]) == (0, 0, 0)
        assert row["requests"] >= 1
        assert row["seconds"] > 0
        seen = shop.query(f"select distinct _first_seen_at, _last_seen_at, _deleted_at from rivo_raw.{name}")
        assert seen == [(shop.now, shop.now, None)]


def test_a_second_sync_at_the_same_time_changes_nothing(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    before = shop.contents()
    results = shop.sync()
    after = shop.contents()
    assert before.keys() == after.keys()
    assert len(after.pop("sync_log")) == len(before.pop("sync_log")) + len(LISTS)
    for name, rows in before.items():
        assert after[name] == rows, name
    assert len(after["_dlt_loads"]) == len(before["_dlt_loads"])
    for name, result in results.items():
        counts = result.counts
        assert (counts.rows_new, counts.rows_changed, counts.rows_deleted) == (0, 0, 0)
        assert result.kind == ("incremental" if name in CURSOR_LISTS else "full")


def test_a_sync_a_day_later_brings_exactly_that_day(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    yesterday = {name: shop.objects(name) for name in LISTS}
    first = shop.now
    now = shop.wait()
    results = shop.sync()
    assert all_differences(shop) == []
    for name in LISTS:
        today, rows = shop.objects(name), shop.rows(name)
        new, changed = today.keys() - yesterday[name].keys(), changed_ids(name, yesterday[name], today)
        counts = results[name].counts
        assert (counts.rows_new, counts.rows_changed, counts.rows_deleted) == (len(new), len(changed), 0)
        assert {id for id, row in rows.items() if row["_first_seen_at"] == now} == new
        assert {row["_first_seen_at"] for row in rows.values()} <= {first, now}
        since = min((int(p["pagination[since_id]"]) for p in shop.sent(name)), default=0)
        for id, row in rows.items():
            assert row["_last_seen_at"] == (now if id > since else first)


def test_daily_syncs_with_sweeps_end_equal_to_the_store(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    shop.settings = {"full_sweep_days": 3, "lookback_days": 5}
    kinds = []
    lists = ("points_events", "referrals")
    for _ in range(6):
        shop.wait()
        kinds.append(shop.sync(*lists)["points_events"].kind)
    assert kinds == ["incremental", "incremental", "full"] * 2
    # A sweep has just been: everything is as the store has it.
    assert [said for said in all_differences(shop) if said.startswith(lists)] == []


def test_sweeps_can_be_asked_for_and_be_always(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    assert shop.sync("referrals", full=True)["referrals"].kind == "full"
    assert shop.sync("referrals")["referrals"].kind == "incremental"
    shop.settings = {"full_sweep_days": 0}
    assert shop.sync("referrals")["referrals"].kind == "full"


def first_since_id(shop: Shop, name: str) -> int:
    return int(shop.sent(name)[0]["pagination[since_id]"])


@pytest.mark.parametrize("lookback", [0, 1, 10, 30])
def test_events_are_read_from_the_smallest_id_of_the_lookback_on(open_shop: OpenShop, lookback: int) -> None:
    shop = open_shop(loaded=True)
    shop.settings = {"lookback_days": lookback}
    held = {id: row["applied_at"] for id, row in shop.rows("points_events").items()}
    shop.wait(0.5)
    shop.sync("earning_rules", "points_events")
    recent = [id for id, applied_at in held.items() if applied_at >= shop.now - lookback * DAY]
    assert first_since_id(shop, "points_events") == (min(recent) - 1 if recent else max(held))
    assert {p["pagination[limit]"] for p in shop.sent("points_events")} == {"250"}


def test_redemptions_and_referrals_are_read_from_the_smallest_open_id_on(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    redemptions, referrals = shop.rows("points_redemptions"), shop.rows("referrals")
    shop.wait()
    shop.sync("earning_rules", "points_redemptions", "referrals")
    floor = shop.now - 180 * DAY
    open_redemptions = [
        id
        for id, row in redemptions.items()
        if row["used_at"] is None
        and row["revoked_at"] is None
        and (row["expires_at"] is None or row["expires_at"] >= shop.now)
        and row["applied_at"] >= floor
    ]
    open_referrals = [
        id
        for id, row in referrals.items()
        if row["status"] in ("unclaimed", "pending") and row["created_at"] >= floor
    ]
    assert first_since_id(shop, "points_redemptions") == min(open_redemptions) - 1 > 0
    assert first_since_id(shop, "referrals") == min(open_referrals, default=max(referrals) + 1) - 1


def test_a_late_revocation_is_seen_inside_the_lookback_and_by_the_sweep_outside(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    held = sorted(shop.rows("points_events").items())
    old = next(id for id, row in held if row["applied_at"] < shop.now - 40 * DAY)
    recent = next(id for id, row in held if row["applied_at"] > shop.now - 20 * DAY)
    later = shop.wait()
    for id in (old, recent):
        shop.program.override("points_events", id, at=later, revoked_at=later)
    result = shop.sync("earning_rules", "points_events")["points_events"]
    assert result.kind == "incremental"
    assert shop.rows("points_events")[recent]["revoked_at"] == later
    assert shop.rows("points_events")[old]["revoked_at"] is None
    shop.wait(6)
    assert shop.sync("earning_rules", "points_events")["points_events"].kind == "full", (
        "seven days after the last one"
    )
    assert shop.rows("points_events")[old]["revoked_at"] == later


def test_back_dated_events_arrive_with_their_new_ids(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    customer = next(iter(shop.rows("customers")))
    now = shop.wait()
    id = shop.program.insert(
        "points_events",
        {"customer": {"id": customer}, "points_diff": 50, "applied_at": now - 300 * DAY},
        at=now,
    )
    shop.sync("earning_rules", "points_events")
    assert shop.rows("points_events")[id]["applied_at"] == now - 300 * DAY


def test_an_empty_shop_has_all_tables_and_no_rows(open_shop: OpenShop) -> None:
    shop = open_shop(customers=0)
    results = shop.sync("customers", "points_events", "points_redemptions", "referrals")
    assert all(result.complete and result.counts.rows_read == 0 for result in results.values())
    contents = shop.contents()
    assert LISTS | {"customers_history", "sync_log", "settings", "_quarantine"} <= contents.keys()
    assert [name for name, rows in contents.items() if rows] == ["settings", "sync_log"]
    shop.wait()
    assert shop.sync("points_events")["points_events"].complete


def test_the_time_of_a_sync_of_one_cursor_list_is_the_apis(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    now = shop.wait()
    result = shop.sync("points_events")["points_events"]
    assert (result.observed_at, result.kind) == (now, "incremental")
    assert result.requests == len(shop.server.requests)
    assert shop.query("select max(_last_seen_at) from rivo_raw.points_events") == [(now,)]


@pytest.mark.parametrize("back", [1, 3600])
def test_a_clock_that_runs_backwards_is_refused(open_shop: OpenShop, back: int) -> None:
    shop = open_shop(loaded=True)
    before = shop.contents()
    shop.server.now -= timedelta(seconds=back)
    for name in ("customers", "points_events"):
        with pytest.raises(ApiError, match="histories cannot run backwards"):
            shop.sync(name)
    assert shop.contents() == before


def test_names_of_an_older_api_land_in_the_present_columns(open_shop: OpenShop) -> None:
    shop = open_shop(customers=12, legacy_keys=True)
    objects = shop.objects("customers")
    result = shop.sync("customers")["customers"]
    rows = shop.rows("customers")
    assert result.new_columns == ()
    assert rows.keys() == objects.keys()
    for id, row in rows.items():
        obj = objects[id]
        assert row["points_tally"] == obj["attributes"]["loyalty_points_tally"] is not None
        for column in ENDPOINTS["customers"].columns:
            assert found(column, row) == expected(column, obj)


def test_ids_beyond_53_bits_stay_exact(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    id, customer = 2**53 + 1, 2**62 + 1
    now = shop.wait()
    shop.program.insert(
        "points_events", {"customer": {"id": customer}, "points_diff": 10**12 - 1}, at=now, id=id
    )
    for _ in range(2):
        result = shop.sync("points_events")["points_events"]
        row = shop.rows("points_events")[id]
        assert (row["customer_id"], row["points_diff"]) == (customer, 10**12 - 1)
        assert f'"id":{customer}' in row["customer"]
    assert result.counts.rows_changed == 0

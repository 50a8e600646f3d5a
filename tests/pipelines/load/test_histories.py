"""Deletions, returns and their histories: half-open, one open version a row, at the times of syncs."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import pairwise
from typing import Any

from pipelines.rivo.endpoints import ENDPOINTS
from sandbox import DEFAULT_END
from tests.harness.compare import Row
from tests.harness.store import DAY, Store
from tests.pipelines.conftest import OpenStore

START = DEFAULT_END


def history(store: Store, name: str, id: int) -> list[Row]:
    return store.dicts(f"from rivo_raw.{name}_history where id = ? order by valid_from", id)


def spells(store: Store, name: str, id: int, column: str) -> list[tuple[Any, datetime, datetime | None]]:
    return [(row[column], row["valid_from"], row["valid_to"]) for row in history(store, name, id)]


def assert_sound(store: Store) -> None:
    """Assert what holds for every history at any time."""
    for name in (name for name, endpoint in ENDPOINTS.items() if endpoint.history):
        times = {
            row[0] for row in store.query("select observed_at from rivo_raw.sync_log where list = ?", name)
        }
        versions: dict[int, list[Row]] = {}
        for row in store.dicts(f"from rivo_raw.{name}_history order by id, valid_from"):
            versions.setdefault(row["id"], []).append(row)
        alive = store.table(name)
        for id, rows in versions.items():
            assert {row["valid_from"] for row in rows} <= times
            assert {row["valid_to"] for row in rows} <= times | {None}
            assert all(row["valid_to"] is None or row["valid_from"] < row["valid_to"] for row in rows)
            for earlier, later in pairwise(rows):
                assert earlier["valid_to"] is not None
                assert earlier["valid_to"] <= later["valid_from"], "no overlap"
                if earlier["valid_to"] == later["valid_from"]:
                    assert earlier["_row_version"] != later["_row_version"], "a version for a change"
            assert (rows[-1]["valid_to"] is None) == (id in alive), "open while it is there"
            if id in alive:
                for column in rows[-1].keys() - {"_row_version", "valid_from", "valid_to"}:
                    assert rows[-1][column] == alive[id][column]
        assert alive.keys() <= versions.keys()


def test_history_of_returning_row_has_a_gap(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    gone = list(store.table("customers"))[:3]
    for id in gone:
        store.program.remove("customers", id, at=START + DAY)
        store.program.restore("customers", id, at=START + 2 * DAY)
    first = store.wait()
    assert store.sync("customers")["customers"].counts.rows_deleted == 3
    assert not gone & store.table("customers").keys()
    rows = store.table("customers", alive=False)
    for id in gone:
        row = rows[id]
        assert (row["_first_seen_at"], row["_last_seen_at"], row["_deleted_at"]) == (START, START, first)
        assert [v["valid_to"] for v in history(store, "customers", id)] == [first]
    assert_sound(store)
    assert store.sync("customers")["customers"].counts.rows_deleted == 0, "once is enough"
    second = store.wait()
    counts = store.sync("customers")["customers"].counts
    assert (counts.rows_new, counts.rows_deleted) == (0, 0)
    assert counts.rows_changed >= 3
    rows = store.table("customers")
    for id in gone:
        row = rows[id]
        assert (row["_first_seen_at"], row["_last_seen_at"], row["_deleted_at"]) == (START, second, None)
        assert [(v["valid_from"], v["valid_to"]) for v in history(store, "customers", id)] == [
            (START, first),
            (second, None),
        ], "a gap while it was away"
    assert_sound(store)


def test_vanished_events_are_deleted_by_full_sweep_only(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    last = max(store.table("points_events"))
    store.program.remove("points_events", last, at=START)
    store.wait()
    assert store.sync("points_events")["points_events"].counts.rows_deleted == 0
    assert last in store.table("points_events"), "an incomplete read proves no absence"
    now = store.wait()
    assert store.sync("points_events", full=True)["points_events"].counts.rows_deleted == 1
    assert store.table("points_events", alive=False)[last]["_deleted_at"] == now


def test_history_of_tier_renamed_twice_has_three_versions(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    id, row = min(store.table("vip_tiers").items())
    days = [START + n * DAY for n in range(5)]
    store.program.override("vip_tiers", id, at=days[1], name="Argent")
    store.program.override("vip_tiers", id, at=days[3], name=row["name"])
    for day in days[1:]:
        store.server.now = day
        store.sync("vip_tiers")
    assert spells(store, "vip_tiers", id, "name") == [
        (row["name"], days[0], days[1]),
        ("Argent", days[1], days[3]),
        (row["name"], days[3], None),
    ]
    assert_sound(store)


def test_untracked_column_makes_no_version(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    id = min(store.table("customers"))
    store.program.override("customers", id, at=START, first_name="Another", dob="01-02")
    assert store.sync("customers")["customers"].counts.rows_changed == 1
    assert len(history(store, "customers", id)) == 1
    assert store.table("customers")[id]["first_name"] == "Another"


def test_changed_nested_snapshot_is_stored_but_counts_as_no_change(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    id = min(store.table("points_events"))
    store.program.override("points_events", id, at=START, customer={"id": 1, "points_tally": 77})
    counts = store.sync("points_events", full=True)["points_events"].counts
    # The customer's id is a column of its own, taken from the snapshot: that is a change.
    assert counts.rows_changed == 1
    store.program.override("points_events", id, at=START, customer={"points_tally": 78, "id": 1})
    counts = store.sync("points_events", full=True)["points_events"].counts
    assert (counts.rows_new, counts.rows_changed) == (0, 0)
    assert json.loads(store.table("points_events")[id]["customer"]) == {"id": 1, "points_tally": 78}


def test_second_sync_at_the_same_time_replaces_the_version(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    id, row = min(store.table("vip_tiers").items())
    now = store.wait()
    for name in ("First", "Second"):
        store.program.override("vip_tiers", id, at=now, name=name)
        store.sync("vip_tiers")
    assert spells(store, "vip_tiers", id, "name") == [(row["name"], START, now), ("Second", now, None)]
    assert_sound(store)


def test_texts_that_look_alike_make_different_versions(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    one, other = sorted(store.table("rewards"))[-2:]
    days: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
        ({"points_type": "a|b", "reward_type": "c"}, {"points_type": "a", "reward_type": None}),
        ({"points_type": "a", "reward_type": "b|c"}, {"points_type": "a", "reward_type": "\\N"}),
    )
    for values in days:
        now = store.wait()
        for id, texts in zip((one, other), values, strict=True):
            store.program.override("rewards", id, at=now, **texts)
        store.sync("rewards")
    for id, held in zip((one, other), zip(*days, strict=True), strict=True):
        found = [(row["points_type"], row["reward_type"]) for row in history(store, "rewards", id)]
        assert found[1:] == [tuple(texts.values()) for texts in held]


def test_customers_history_is_sound_after_weeks_of_syncs(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    seen = {(START, id): row["points_tally"] for id, row in store.table("customers").items()}
    for days in (1, 20):
        now = store.wait(days)
        store.sync("customers")
        seen |= {(now, id): o["attributes"]["points_tally"] for id, o in store.objects("customers").items()}
    assert_sound(store)
    versions = store.dicts("from rivo_raw.customers_history")
    for (at, id), tally in seen.items():
        held = [
            row["points_tally"]
            for row in versions
            if row["id"] == id
            and row["valid_from"] <= at
            and (row["valid_to"] is None or at < row["valid_to"])
        ]
        assert held == [tally]

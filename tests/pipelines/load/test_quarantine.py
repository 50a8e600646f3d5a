"""Invalid rows enter quarantine and leave it again; undeclared attributes become columns; other rows are unaffected."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness.compare import Row
from tests.harness.store import Store
from tests.pipelines.conftest import OpenStore


def quarantined(store: Store, name: str) -> list[Row]:
    return store.dicts("from rivo_raw._quarantine where list = ? order by id", name)


@pytest.mark.parametrize(
    ("fault", "name", "reason"),
    [
        ("type_change", "customers", 'points_tally is not a whole number: "'),
        ("missing_id", "customers", "the row has no usable id"),
        ("missing_diff", "points_events", "points_diff is missing"),
        ("bad_date", "points_events", 'applied_at is not a possible date and time: "2026-02-30T00:00:00Z"'),
    ],
)
def test_unparsable_rows_are_quarantined_with_reason_and_read_again(
    open_store: OpenStore, fault: str, name: str, reason: str
) -> None:
    store = open_store(loaded=True)
    before = store.table(name)
    store.wait()
    result = store.sync(name, faults=[f"{fault}:{name}=0.15"], full=True)[name]
    apart = quarantined(store, name)
    assert result.complete
    assert 0 < len(apart) == result.counts.rows_quarantined < len(before)
    assert all(row["reason"].startswith(reason) for row in apart), apart[0]["reason"]
    assert all(row["observed_at"] == store.now for row in apart)
    objects = store.objects(name)
    for row in apart:
        assert json.loads(row["row"])["attributes"].get("title") == objects[row["id"]]["attributes"].get(
            "title"
        )
    # Quarantined rows keep their values, are not deleted, and their histories do not end.
    assert result.counts.rows_deleted == 0
    rows = store.table(name)
    for row in apart:
        if row["id"] in before:
            old, now = before[row["id"]], rows[row["id"]]
            assert old | {"_last_seen_at": now["_last_seen_at"]} == now
    if name == "customers":
        ended = "select count(*) from rivo_raw.customers where id not in "
        assert store.query(ended + "(select id from rivo_raw.customers_history where valid_to is null)") == [
            (0,)
        ]
    # They can be parsed again: the quarantine is empty.
    store.wait()
    store.sync(name)
    assert quarantined(store, name) == []
    assert store.table(name).keys() == store.objects(name).keys()


def test_old_quarantined_row_is_still_read_again(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    store.options = {"lookback_days": 1}
    old = sorted(store.table("points_events"))[5]
    store.program.override("points_events", old, at=store.now, points_diff="12 pts")
    store.sync("points_events", full=True)
    for _ in range(2):
        store.wait()
        result = store.sync("earning_rules", "points_events")["points_events"]
        assert result.kind == "incremental"
        # Only the row is requested, then the rows that can still change: not all rows between.
        first, *others = (int(sent["pagination[since_id]"]) for sent in store.sent("points_events"))
        assert first == old - 1
        assert all(since_id > old for since_id in others)
        assert result.counts.rows_read < len(store.table("points_events")) / 2
        assert [row["id"] for row in quarantined(store, "points_events")] == [old]
    store.program.override("points_events", old, at=store.now, points_diff=4321)
    store.wait()
    store.sync("earning_rules", "points_events")
    assert quarantined(store, "points_events") == []
    assert store.table("points_events")[old]["points_diff"] == 4321
    store.wait()
    store.sync("earning_rules", "points_events")
    assert int(store.sent("points_events")[0]["pagination[since_id]"]) > old


def test_new_row_without_id_is_read_by_the_next_sync(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    store.options = {"lookback_days": 0}
    now = store.wait()
    customer = next(iter(store.table("customers")))
    ids = [
        store.program.insert("points_events", {"customer": {"id": customer}, "points_diff": 5}, at=now)
        for _ in range(2)
    ]
    store.sync("points_events", faults=["null_id:points_events"])
    assert set(ids) <= {row["id"] for row in quarantined(store, "points_events")}
    store.wait(0.01)
    store.sync("points_events")
    assert quarantined(store, "points_events") == []
    assert set(ids) <= store.table("points_events").keys()


def test_row_without_any_id_prevents_deletions(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    store.program.insert("earning_rules", {"id": None, "title": "Nameless"}, at=store.now)
    for _ in range(2):
        store.wait()
        result = store.sync("earning_rules", faults=["null_id:earning_rules"])["earning_rules"]
        assert result.counts.rows_deleted == 0
    nameless = [row for row in quarantined(store, "earning_rules") if row["id"] is None]
    titles = [json.loads(row["row"])["attributes"]["title"] for row in nameless]
    assert titles.count("Nameless") == 1
    assert titles.count(None) == len(titles) - 1, "rows that say nothing, as Rivo lists them"
    # It has its id again: now the absence of other rows counts.
    store.program.remove("earning_rules", max(store.table("earning_rules")), at=store.wait())
    assert store.sync("earning_rules")["earning_rules"].counts.rows_deleted == 1
    assert quarantined(store, "earning_rules") == []


def test_quarantined_row_is_deleted_with_its_row_in_the_store(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    id = min(store.table("rewards"))
    store.program.override("rewards", id, at=store.now, points_amount="many")
    store.sync("rewards")
    assert [row["id"] for row in quarantined(store, "rewards")] == [id]
    store.program.remove("rewards", id, at=store.wait())
    assert store.sync("rewards")["rewards"].counts.rows_deleted == 1
    assert quarantined(store, "rewards") == []


# -- what this release does not declare ------------------------------------------------------------


def columns(store: Store, name: str) -> dict[str, tuple[str, str | None]]:
    sql = (
        "select column_name, data_type, comment from duckdb_columns() "
        "where schema_name = 'rivo_raw' and table_name = ?"
    )
    return {column: (kind, about) for column, kind, about in store.query(sql, name)}


NEW: dict[str, tuple[Any, str, Any]] = {
    "new_text": ("surprise", "VARCHAR", "surprise"),
    "new_number": (7, "BIGINT", 7),
    "new_fraction": (2.5, "DOUBLE", 2.5),
    "new_flag": (True, "BOOLEAN", True),
    "new_time": ("2026-01-01T00:00:00Z", "TIMESTAMP WITH TIME ZONE", datetime(2026, 1, 1, tzinfo=UTC)),
    "new_object": ({"b": 1, "a": [2]}, "JSON", '{"a":[2],"b":1}'),
}


def test_new_attributes_become_columns_of_natural_types(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    one, other = sorted(store.table("rewards"))[:2]
    values = {name: value for name, (value, _, _) in NEW.items()}
    store.program.override("rewards", one, at=store.now, **values)
    result = store.sync("rewards")["rewards"]
    assert set(result.new_columns) == NEW.keys()
    assert result.counts.rows_changed == 1
    found, rows = columns(store, "rewards"), store.table("rewards")
    for name, (_, kind, stored) in NEW.items():
        assert found[name][0] == kind
        assert found[name][1], "described in the database itself"
        assert (rows[one][name], rows[other][name]) == (stored, None)
    again = store.sync("rewards")["rewards"]
    assert (again.new_columns, again.counts.rows_changed) == ((), 0)
    store.program.override("rewards", one, at=store.wait(), **dict.fromkeys(NEW))
    assert store.sync("rewards")["rewards"].counts.rows_changed >= 1
    assert {store.table("rewards")[one][name] for name in NEW} == {None}


ODD = {
    "newAttribute": "a",
    "with space": 1,
    'quo"te': 2,
    "it's": 3,
    "a__b": 4,
    "order": 5,
    "Name": "not the name",
    "_deleted_at": "2020-01-01T00:00:00Z",
    "_dlt_id": "x",
    "é": 6,
    "ü": 7,
    "": 8,
}


def test_attributes_with_odd_names_become_columns(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    before = store.table("rewards")
    id = min(before)
    store.program.override("rewards", id, at=store.now, **ODD)
    result = store.sync("rewards")["rewards"]
    assert len(result.new_columns) == len(ODD)
    row = store.table("rewards")[id]
    assert row.keys() == before[id].keys() | set(result.new_columns), "and none made by the loader"
    assert {name: row[name] for name in before[id]} == before[id]
    assert sorted(str(row[name]) for name in result.new_columns) == sorted(
        "2020-01-01 00:00:00+00:00" if name == "_deleted_at" else str(value) for name, value in ODD.items()
    )
    for _ in range(2):
        again = store.sync("rewards")["rewards"]
        assert (again.new_columns, again.counts.rows_changed) == ((), 0)
    store.program.override("rewards", id, at=store.wait(), newAttribute="changed")
    assert store.sync("rewards")["rewards"].counts.rows_changed == 1
    assert "changed" in store.table("rewards")[id].values()


def test_undeclared_attribute_changing_type_loses_no_row(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    one, two = sorted(store.table("rewards"))[:2]
    store.program.override("rewards", one, at=store.now, size=4)
    store.sync("rewards")
    store.program.override("rewards", two, at=store.wait(), size="XL", name="Shirt")
    result = store.sync("rewards")["rewards"]
    assert (result.counts.rows_quarantined, result.new_columns) == (0, ("size_misfit",))
    rows = store.table("rewards")
    assert [(rows[id]["size"], rows[id]["size_misfit"]) for id in (one, two)] == [(4, None), (None, '"XL"')]
    assert rows[two]["name"] == "Shirt"
    for _ in range(2):
        again = store.sync("rewards")["rewards"]
        assert (again.new_columns, again.counts.rows_changed) == ((), 0)


def test_attribute_first_seen_on_a_later_page_becomes_a_column(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.load.landing._CHUNK_ROWS", 100)
    store = open_store(months=9, customers=50)
    last = max(store.objects("points_events"))
    store.program.override("points_events", last, at=store.now, new_attribute="late")
    assert len(store.objects("points_events")) > 250
    result = store.sync("points_events")["points_events"]
    assert result.new_columns == ("new_attribute",)
    assert result.counts.rows_new == len(store.table("points_events")) == len(store.objects("points_events"))
    assert store.table("points_events")[last]["new_attribute"] == "late"
    assert store.sync("points_events", full=True)["points_events"].counts.rows_changed == 0

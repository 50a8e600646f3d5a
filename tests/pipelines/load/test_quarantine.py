"""Rows that are not as they should be: quarantine and out again, new attributes, and no harm to the others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.pipelines.conftest import OpenShop
from tests.pipelines.shop import Row, Shop


def quarantined(shop: Shop, name: str) -> list[Row]:
    return shop.dicts("from rivo_raw._quarantine where list = ? order by id", name)


@pytest.mark.parametrize(
    ("fault", "name", "reason"),
    [
        ("type_change", "customers", 'points_tally is not a whole number: "'),
        ("missing_id", "customers", "the row has no usable id"),
        ("missing_diff", "points_events", "points_diff is missing"),
        ("bad_date", "points_events", 'applied_at is not a possible date and time: "2026-02-30T00:00:00Z"'),
    ],
)
def test_spoilt_rows_are_set_apart_with_the_reason_and_read_again(
    open_shop: OpenShop, fault: str, name: str, reason: str
) -> None:
    shop = open_shop(loaded=True)
    before = shop.rows(name)
    shop.wait()
    result = shop.sync(name, faults=[f"{fault}:{name}=0.15"], full=True)[name]
    apart = quarantined(shop, name)
    assert result.complete
    assert 0 < len(apart) == result.counts.rows_quarantined < len(before)
    assert all(row["reason"].startswith(reason) for row in apart), apart[0]["reason"]
    assert all(row["observed_at"] == shop.now for row in apart)
    objects = shop.objects(name)
    for row in apart:
        assert json.loads(row["row"])["attributes"].get("title") == objects[row["id"]]["attributes"].get(
            "title"
        )
    # The rows set apart keep the values they had, are not deleted, and their histories do not end.
    assert result.counts.rows_deleted == 0
    rows = shop.rows(name)
    for row in apart:
        if row["id"] in before:
            old, now = before[row["id"]], rows[row["id"]]
            assert old | {"_last_seen_at": now["_last_seen_at"]} == now
    if name == "customers":
        ended = "select count(*) from rivo_raw.customers where id not in "
        assert shop.query(ended + "(select id from rivo_raw.customers_history where valid_to is null)") == [
            (0,)
        ]
    # They read well again: nothing is left behind.
    shop.wait()
    shop.sync(name)
    assert quarantined(shop, name) == []
    assert shop.rows(name).keys() == shop.objects(name).keys()


def test_a_row_set_apart_long_ago_is_still_read_again(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    shop.settings = {"lookback_days": 1}
    old = sorted(shop.rows("points_events"))[5]
    shop.program.override("points_events", old, at=shop.now, points_diff="12 pts")
    shop.sync("points_events", full=True)
    for _ in range(2):
        shop.wait()
        result = shop.sync("earning_rules", "points_events")["points_events"]
        assert result.kind == "incremental"
        # It alone is asked for, and then what can still change: not all that lies between.
        first, *others = (int(sent["pagination[since_id]"]) for sent in shop.sent("points_events"))
        assert first == old - 1
        assert all(since_id > old for since_id in others)
        assert result.counts.rows_read < len(shop.rows("points_events")) / 2
        assert [row["id"] for row in quarantined(shop, "points_events")] == [old]
    shop.program.override("points_events", old, at=shop.now, points_diff=4321)
    shop.wait()
    shop.sync("earning_rules", "points_events")
    assert quarantined(shop, "points_events") == []
    assert shop.rows("points_events")[old]["points_diff"] == 4321
    shop.wait()
    shop.sync("earning_rules", "points_events")
    assert int(shop.sent("points_events")[0]["pagination[since_id]"]) > old


def test_a_new_row_without_its_id_is_waited_for(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    shop.settings = {"lookback_days": 0}
    now = shop.wait()
    customer = next(iter(shop.rows("customers")))
    ids = [
        shop.program.insert("points_events", {"customer": {"id": customer}, "points_diff": 5}, at=now)
        for _ in range(2)
    ]
    shop.sync("points_events", faults=["null_id:points_events"])
    assert set(ids) <= {row["id"] for row in quarantined(shop, "points_events")}
    shop.wait(0.01)
    shop.sync("points_events")
    assert quarantined(shop, "points_events") == []
    assert set(ids) <= shop.rows("points_events").keys()


def test_a_row_without_any_id_lets_nothing_be_deleted(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    shop.program.insert("earning_rules", {"id": None, "title": "Nameless"}, at=shop.now)
    for _ in range(2):
        shop.wait()
        result = shop.sync("earning_rules", faults=["null_id:earning_rules"])["earning_rules"]
        assert result.counts.rows_deleted == 0
    nameless = [row for row in quarantined(shop, "earning_rules") if row["id"] is None]
    titles = [json.loads(row["row"])["attributes"]["title"] for row in nameless]
    assert titles.count("Nameless") == 1
    assert titles.count(None) == len(titles) - 1, "rows that say nothing, as Rivo lists them"
    # It says which row it is again: now the absence of others is told.
    shop.program.remove("earning_rules", max(shop.rows("earning_rules")), at=shop.wait())
    assert shop.sync("earning_rules")["earning_rules"].counts.rows_deleted == 1
    assert quarantined(shop, "earning_rules") == []


def test_a_spoilt_row_goes_when_the_store_drops_it(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    id = min(shop.rows("rewards"))
    shop.program.override("rewards", id, at=shop.now, points_amount="many")
    shop.sync("rewards")
    assert [row["id"] for row in quarantined(shop, "rewards")] == [id]
    shop.program.remove("rewards", id, at=shop.wait())
    assert shop.sync("rewards")["rewards"].counts.rows_deleted == 1
    assert quarantined(shop, "rewards") == []


# -- what this release does not declare ------------------------------------------------------------


def columns(shop: Shop, name: str) -> dict[str, tuple[str, str | None]]:
    sql = (
        "select column_name, data_type, comment from duckdb_columns() "
        "where schema_name = 'rivo_raw' and table_name = ?"
    )
    return {column: (kind, about) for column, kind, about in shop.query(sql, name)}


NEW: dict[str, tuple[Any, str, Any]] = {
    "new_text": ("surprise", "VARCHAR", "surprise"),
    "new_number": (7, "BIGINT", 7),
    "new_fraction": (2.5, "DOUBLE", 2.5),
    "new_flag": (True, "BOOLEAN", True),
    "new_time": ("2026-01-01T00:00:00Z", "TIMESTAMP WITH TIME ZONE", datetime(2026, 1, 1, tzinfo=UTC)),
    "new_object": ({"b": 1, "a": [2]}, "JSON", '{"a":[2],"b":1}'),
}


def test_new_attributes_become_columns_of_their_natural_types(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    one, other = sorted(shop.rows("rewards"))[:2]
    values = {name: value for name, (value, _, _) in NEW.items()}
    shop.program.override("rewards", one, at=shop.now, **values)
    result = shop.sync("rewards")["rewards"]
    assert set(result.new_columns) == NEW.keys()
    assert result.counts.rows_changed == 1
    found, rows = columns(shop, "rewards"), shop.rows("rewards")
    for name, (_, kind, stored) in NEW.items():
        assert found[name][0] == kind
        assert found[name][1], "described in the database itself"
        assert (rows[one][name], rows[other][name]) == (stored, None)
    again = shop.sync("rewards")["rewards"]
    assert (again.new_columns, again.counts.rows_changed) == ((), 0)
    shop.program.override("rewards", one, at=shop.wait(), **dict.fromkeys(NEW))
    assert shop.sync("rewards")["rewards"].counts.rows_changed >= 1
    assert {shop.rows("rewards")[one][name] for name in NEW} == {None}


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


def test_attributes_with_odd_names_arrive_and_do_no_harm(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    before = shop.rows("rewards")
    id = min(before)
    shop.program.override("rewards", id, at=shop.now, **ODD)
    result = shop.sync("rewards")["rewards"]
    assert len(result.new_columns) == len(ODD)
    row = shop.rows("rewards")[id]
    assert row.keys() == before[id].keys() | set(result.new_columns), "and none made by the loader"
    assert {name: row[name] for name in before[id]} == before[id]
    assert sorted(str(row[name]) for name in result.new_columns) == sorted(
        "2020-01-01 00:00:00+00:00" if name == "_deleted_at" else str(value) for name, value in ODD.items()
    )
    for _ in range(2):
        again = shop.sync("rewards")["rewards"]
        assert (again.new_columns, again.counts.rows_changed) == ((), 0)
    shop.program.override("rewards", id, at=shop.wait(), newAttribute="changed")
    assert shop.sync("rewards")["rewards"].counts.rows_changed == 1
    assert "changed" in shop.rows("rewards")[id].values()


def test_a_new_attribute_that_changes_its_type_costs_no_row(open_shop: OpenShop) -> None:
    shop = open_shop(loaded=True)
    one, two = sorted(shop.rows("rewards"))[:2]
    shop.program.override("rewards", one, at=shop.now, size=4)
    shop.sync("rewards")
    shop.program.override("rewards", two, at=shop.wait(), size="XL", name="Shirt")
    result = shop.sync("rewards")["rewards"]
    assert (result.counts.rows_quarantined, result.new_columns) == (0, ("size_misfit",))
    rows = shop.rows("rewards")
    assert [(rows[id]["size"], rows[id]["size_misfit"]) for id in (one, two)] == [(4, None), (None, '"XL"')]
    assert rows[two]["name"] == "Shirt"
    for _ in range(2):
        again = shop.sync("rewards")["rewards"]
        assert (again.new_columns, again.counts.rows_changed) == ((), 0)


def test_an_attribute_that_shows_on_a_later_page_alone(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.load.landing._CHUNK_ROWS", 100)
    shop = open_shop(months=9, customers=50)
    last = max(shop.objects("points_events"))
    shop.program.override("points_events", last, at=shop.now, new_attribute="late")
    assert len(shop.objects("points_events")) > 250
    result = shop.sync("points_events")["points_events"]
    assert result.new_columns == ("new_attribute",)
    assert result.counts.rows_new == len(shop.rows("points_events")) == len(shop.objects("points_events"))
    assert shop.rows("points_events")[last]["new_attribute"] == "late"
    assert shop.sync("points_events", full=True)["points_events"].counts.rows_changed == 0

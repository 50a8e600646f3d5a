"""One customer or tier as Rivo answers now, beside the warehouse's row; and what `rivo customer` prints of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.errors import ApiError, RivoError, WarehouseError
from runs.retrieve import retrieve
from sandbox import ProgramOptions
from tests.harness.settings import make_settings
from tests.harness.store import Store, open_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("retrieve") / "warehouse" / "rivo.duckdb"
    with open_store(path, ProgramOptions(customers=20, months=3)) as store:
        store.sync("customers", "vip_tiers")
        yield store


def member(store: Store) -> dict[str, Any]:
    return next(
        row["attributes"] for row in store.objects("customers").values() if row["attributes"]["vip_tier"]
    )


def test_unchanged_row_equals_that_of_the_warehouse(store: Store) -> None:
    known = member(store)
    for identifier in (str(known["id"]), f" {known['email'].upper()} "):
        row = retrieve(store.settings, "customers", identifier)
        assert (row.id, row.differences, row.observed_at) == (known["id"], [], store.now)
        assert row.now["points_tally"] == known["points_tally"]
        assert row.stored is not None
        assert row.now.keys() <= row.stored.keys()
    tier = retrieve(store.settings, "vip_tiers", str(known["vip_tier"]["id"]))
    assert (tier.now["name"], tier.differences) == (known["vip_tier"]["name"], [])


def test_differences_are_named(store: Store) -> None:
    known = member(store)
    store.program.override("customers", known["id"], store.now, points_tally=12_345, first_name="Zoë")
    row = retrieve(store.settings, "customers", str(known["id"]))
    assert sorted(row.differences) == ["first_name", "points_tally"]
    assert (row.now["points_tally"], row.now["first_name"]) == (12_345, "Zoë")


def test_row_that_the_warehouse_lacks_has_no_other_side(store: Store) -> None:
    known = store.objects("customers")[max(store.objects("customers"))]["attributes"]
    row = retrieve(store.with_warehouse("none").settings, "customers", str(known["id"]))
    assert (row.id, row.stored, row.observed_at, row.differences) == (known["id"], None, None, [])


def test_row_that_the_warehouse_marked_as_deleted_is_not_called_the_same(store: Store) -> None:
    other = store.with_warehouse("deleted")
    other.sync("customers")
    known = member(store)
    other.change(
        lambda work: work.connection.execute(
            "update rivo_raw.customers set _deleted_at = _last_seen_at where id = ?", [known["id"]]
        )
    )
    row = retrieve(other.settings, "customers", str(known["id"]))
    assert (row.differences, row.deleted_at) == ([], store.now)


def test_file_of_an_older_release_is_reported(store: Store) -> None:
    other = store.with_warehouse("older")
    other.sync("vip_tiers")
    other.change(lambda work: work.connection.execute("drop table rivo_raw._forgotten"))
    with pytest.raises(WarehouseError, match=r"was written by an older release\. Run .* sync"):
        retrieve(other.settings, "vip_tiers", str(member(store)["vip_tier"]["id"]))


def test_personal_data_are_redacted_as_in_a_sync(store: Store) -> None:
    hashed = Store(store.server, store.path.parent / "hashed.duckdb", {"pii": "hash", "pii_key": "k" * 32})
    hashed.sync("customers")
    known = member(store)
    row = retrieve(hashed.settings, "customers", known["email"])
    assert row.differences == []
    assert known["email"] not in json.dumps(row.now, default=str)


def test_unknown_rows_and_wrong_keys_are_reported(store: Store) -> None:
    with pytest.raises(
        RivoError, match=r"^Rivo has no customer 'x@example.com' \(404\)\. Check the id or e-mail"
    ):
        retrieve(store.settings, "customers", "x@example.com")
    with pytest.raises(RivoError, match=r"^Rivo has no VIP tier '1/\.\./2' \(404\)\. Check the id\."):
        retrieve(store.settings, "vip_tiers", "1/../2")
    with pytest.raises(ApiError, match="refused the key"):
        retrieve(make_settings(store.server, api_key="wrong", warehouse=str(store.path)), "vip_tiers", "1")


def test_rivo_customer_marks_differences(store: Store) -> None:
    known = member(store)
    store.program.override("customers", known["id"], store.now, points_tally=54_321)

    shown = store.rivo("customer", str(known["id"]))
    document = json.loads(store.rivo("customer", known["email"], "--json").stdout)
    missing = store.rivo("tier", "1")

    assert shown.returncode == 0, shown.stderr
    [line] = [line for line in shown.stdout.splitlines() if " points_tally " in line]
    assert line.split()[:3] == ["*", "points_tally", "54,321"]
    assert "differs in " in shown.stdout
    assert document["rivo"]["points_tally"] == 54_321
    assert document["warehouse"]["points_tally"] == store.table("customers")[known["id"]]["points_tally"]
    assert "points_tally" in document["differences"]
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("Error: Rivo has no VIP tier '1' (404).")

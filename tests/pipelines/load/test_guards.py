"""Guards of histories against answers that lack an attribute; patience with a server that is down."""

from __future__ import annotations

import time
from bisect import bisect_right
from pathlib import Path

import pytest

from pipelines.errors import ApiError, command
from pipelines.load.sync import SyncOptions, sync_lists
from pipelines.rivo import client as client_module
from pipelines.rivo import paging
from pipelines.rivo.client import Client
from pipelines.rivo.decode import resource_id
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.paging import read_list
from pipelines.warehouse import Warehouse
from tests.harness.settings import make_settings
from tests.harness.store import Store
from tests.harness.stub import Asked, Reply, answering, page
from tests.harness.working_copy import working_copy
from tests.pipelines.conftest import OpenStore


def tiers_held(store: Store) -> dict[int, int | None]:
    return {id: row["vip_tier_id"] for id, row in store.table("customers").items()}


def test_attribute_missing_from_a_list_does_not_end_every_tier(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    before = tiers_held(store)
    held = sum(tier is not None for tier in before.values())
    assert held > 3
    store.wait()
    result = store.sync("customers", faults=["missing_attribute:customers@vip_tier"])["customers"]
    assert result.error == (
        f"Customers was refused: none of the {len(store.objects('customers')):,} rows that Rivo returned has "
        f"vip_tier_id or vip_tier, where the warehouse holds {held} values. Loading them would end all of these values "
        "in the history. No row of this list was loaded. If Rivo no longer sends the attribute, run "
        f"`{command()} sync --allow-shrink customers` once."
    )
    assert tiers_held(store) == before
    result = store.sync(
        "customers", allow_shrink=["customers"], faults=["missing_attribute:customers@vip_tier"]
    )["customers"]
    assert result.complete
    assert set(tiers_held(store).values()) == {None}


def test_tier_without_readable_id_is_refused(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    for id in store.objects("customers"):
        store.program.override("customers", id, at=store.now, vip_tier={"name": "Gold"})
    result = store.sync("customers")["customers"]
    assert "has a readable vip_tier_id, where the warehouse holds" in str(result.error)


@pytest.mark.parametrize(
    ("nested", "tier_id"), [(None, None), ({}, None), ({"id": 5, "name": "Five"}, 5), (5, 5), ("5", 5)]
)
def test_null_tier_and_tier_id_are_accepted(
    open_store: OpenStore, nested: object, tier_id: int | None
) -> None:
    store = open_store(loaded=True)
    ids = list(store.objects("customers"))
    for id in ids:
        store.program.override("customers", id, at=store.now, vip_tier=nested)
    # At least one row has an explicit null.
    store.program.override("customers", ids[0], at=store.now, vip_tier=None)
    store.program.override("customers", ids[1], at=store.now, vip_tier=None, vip_tier_id=77)
    assert store.sync("customers")["customers"].complete
    assert tiers_held(store) == {**dict.fromkeys(ids, tier_id), ids[0]: None, ids[1]: 77}


def test_legacy_attribute_names_do_not_count_as_missing(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    for id, row in store.objects("customers").items():
        tally = row["attributes"].get("points_tally", row["attributes"].get("loyalty_points_tally"))
        store.program.override("customers", id, at=store.now, loyalty_points_tally=tally)
    result = store.sync("customers", faults=["missing_attribute:customers@points_tally"])["customers"]
    assert result.complete, result.error


def test_many_old_quarantined_rows_are_read_in_few_requests(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    store.options = {"lookback_days": 1}
    old = sorted(store.table("points_events"))[3:60]
    for id in old:
        store.program.override("points_events", id, at=store.now, points_diff=None)
    store.sync("points_events", full=True)
    for id in old:
        store.program.override("points_events", id, at=store.now, points_diff=9)
    result = store.sync("earning_rules", "points_events")["points_events"]
    assert result.kind == "incremental"
    assert next(sent["pagination[since_id]"] for sent in store.sent("points_events")) == str(old[0] - 1)
    assert result.requests < 10
    assert {row["points_diff"] for id, row in store.table("points_events").items() if id in old} == {9}
    assert store.query("from rivo_raw._quarantine") == []


def test_server_that_is_down_is_waited_for_once(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_NOTICE_AFTER_SECONDS", 0.0)
    store = open_store(loaded=True)
    said: list[str] = []
    store.server.faults = ["http_503"]
    started = time.monotonic()
    with Warehouse(store.path).build() as work:
        settings = make_settings(store.server, patience_seconds=2)
        results = list(sync_lists(work, settings, SyncOptions(notice=said.append)))
    assert [result.complete for result in results] == [False] * len(ENDPOINTS)
    assert time.monotonic() - started < 13, "not two seconds for each of the lists"
    assert said[0].startswith(
        "Customers: the server returned status 503 with a web page. Retrying for up to "
    )


def test_single_failing_lists_each_get_the_whole_patience(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    store.options = {"patience_seconds": 0.8}
    faults = ["http_503:vip_tiers", "http_503:earning_rules"]
    results = store.sync("vip_tiers", "rewards", "earning_rules", faults=faults)
    assert results["rewards"].complete
    # More tries than the three for a server that was down for all lists.
    assert min(results[name].requests for name in ("vip_tiers", "earning_rules")) > 3


def test_row_slipping_to_an_earlier_page_is_found_by_rereading() -> None:
    ids = list(range(1, 701))

    def by_page(asked: Asked, number: int) -> Reply:
        if "pagination[page]" not in asked.params:
            return page(ids[:250][::-1], next_since_id=None)
        if number == 3:
            # After the first page was read, a row on it goes: 251 is now on that page.
            ids.remove(7)
        start = (int(asked.params["pagination[page]"]) - 1) * 250
        return page(ids[start : start + 250], next="more" if start + 250 < len(ids) else None)

    with answering(by_page) as stub:
        client = Client.of_settings(make_settings(api_key="sandbox-key", api_url=stub.url))
        reading = read_list(client, ENDPOINTS["customers"], 0, lambda _: None, list(range(1, 701)))
        read = [resource_id(row) for rows in reading for row in rows]
    assert sorted(filter(None, read)) == list(range(1, 701)), (
        "7 came before it went; 251 with the second reading"
    )


@pytest.mark.parametrize("pages", [2, 20], ids=["one after the other", "side by side"])
def test_refused_key_ends_the_sync_while_next_list_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    monkeypatch.setattr(paging, "_LATENCY_PER_WORKER", 1e-9)
    ids = list(range(1, pages * 250 + 1))

    def answer(asked: Asked, number: int) -> Reply:
        since_id = int(asked.params["pagination[since_id]"])
        if asked.path.endswith("/points_events"):
            return Reply({"error": "busy"}, status=503)
        if since_id >= ids[-1] - 250:
            # By now the other list has begun.
            time.sleep(0.3)
            return Reply({"error": "no"}, status=401)
        rows = ids[bisect_right(ids, since_id) :][:250]
        return page(rows, next_since_id=rows[-1])

    started = time.monotonic()
    with answering(answer) as stub:
        settings = make_settings(api_key="sandbox-key", api_url=stub.url, patience_seconds=60)
        with (
            working_copy(Warehouse(tmp_path / "rivo.duckdb"), settings) as work,
            pytest.raises(ApiError, match="refused the key"),
        ):
            list(sync_lists(work, settings, SyncOptions(only=("customers", "points_events"))))
        assert any(asked.path.endswith("/points_events") for asked in stub.asked)
    assert time.monotonic() - started < 50

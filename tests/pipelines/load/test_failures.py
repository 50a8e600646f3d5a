"""Lists that fail: the others are loaded, the failed one is logged and stays unchanged. And the shrink guard."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from pipelines.errors import ApiError, command
from pipelines.load.sync import SyncOptions, sync_lists
from pipelines.rivo.arrow import in_batches
from pipelines.warehouse import Warehouse
from sandbox import Fault
from tests.harness.settings import make_settings
from tests.harness.store import Store
from tests.harness.stub import Asked, Reply, answering
from tests.harness.working_copy import working_copy
from tests.pipelines.conftest import OpenStore


def state(store: Store, name: str) -> object:
    """Return the list's table, its history and its columns."""
    contents = store.contents()
    columns = store.query(
        "select column_name, data_type from duckdb_columns() "
        "where schema_name = 'rivo_raw' and table_name = ? order by 1",
        name,
    )
    return contents[name], contents.get(f"{name}_history"), contents["_quarantine"], columns


@pytest.mark.parametrize(
    ("fault", "name", "sentence"),
    [
        (
            "http_500:customers",
            "customers",
            "Customers could not be read: the server returned status 500. Retries for up to",
        ),
        (
            "http_403:rewards",
            "rewards",
            "Rewards could not be read: the list is not allowed for this key (403)",
        ),
    ],
)
def test_failing_list_does_not_stop_the_others(
    open_store: OpenStore, fault: str, name: str, sentence: str
) -> None:
    store = open_store(loaded=True)
    store.options = {"patience_seconds": 0.3}
    before = state(store, name)
    now = store.wait()
    lists = {"vip_tiers", "earning_rules", "points_redemptions", name}
    results = store.sync(*lists, faults=[fault])
    assert [result.name for result in results.values() if not result.complete] == [name]
    assert state(store, name) == before
    for other in lists - {name}:
        assert store.table(other).keys() == store.objects(other).keys()
    log = {
        row["list"]: row
        for row in store.dicts("from rivo_raw.sync_log where observed_at = ? and not complete", now)
    }
    assert log.keys() == {name}
    assert log[name]["error"].startswith(sentence)
    assert log[name]["error"] == results[name].error
    assert (log[name]["rows_read"], log[name]["rows_deleted"]) == (0, 0)
    assert log[name]["requests"] >= 1
    assert store.sync(name)[name].complete, "and the next sync loads it"
    assert store.table(name).keys() == store.objects(name).keys()


@pytest.mark.parametrize("chunk", [100, 25_000])
def test_list_failing_midway_changes_nothing(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    # With small chunks dlt already holds part of the list when the second page fails.
    monkeypatch.setattr("pipelines.load.landing._CHUNK_ROWS", chunk)
    monkeypatch.setattr("pipelines.load.landing.in_batches", partial(in_batches, rows=100))
    store = open_store(customers=60, months=6)
    store.options = {"patience_seconds": 0.3}
    store.sync("points_events")
    objects = store.objects("points_events")
    assert len(objects) > 300
    before = state(store, "points_events")
    for id in objects:
        store.program.override("points_events", id, at=store.now, title="changed", new_attribute="new")
    store.wait(0.1)
    settings = make_settings(store.server, **store.options)
    rows_read: list[int] = []
    store.server.faults = Fault("http_500", "points_events", after=1)
    with Warehouse(store.path).build() as work:
        options = SyncOptions(
            only=("points_events",), full=True, progress=lambda _name, rows: rows_read.append(rows)
        )
        (result,) = sync_lists(work, settings, options)
        assert not result.complete
        assert result.error
        assert result.error.startswith("Points Events could not be read: the server returned status 500")
        assert result.new_columns == ()
        # The same build goes on to a second sync, as the first demo does.
        store.server.faults = ()
        (again,) = sync_lists(work, settings, SyncOptions(only=("rewards",)))
        assert again.complete
        work.publish()
    assert rows_read == [250]
    assert state(store, "points_events") == before
    result = store.sync("points_events", full=True)["points_events"]
    assert (result.counts.rows_changed, result.new_columns) == (len(objects), ("new_attribute",))
    rows = store.table("points_events")
    assert {rows[id]["title"] for id in objects} == {"changed"}


@pytest.mark.parametrize("days", [-3000, 30_000])
def test_failures_before_the_first_answer_are_logged_in_order(open_store: OpenStore, days: int) -> None:
    store = open_store()
    store.options["patience_seconds"] = 1
    store.server.date_offset = timedelta(days=days)
    first = store.sync("rewards", "vip_tiers")
    failed = store.sync("rewards", "vip_tiers", faults=["dropped"])
    newest = "from rivo_raw.sync_log where observed_at = (select max(observed_at) from rivo_raw.sync_log)"
    assert len({result.observed_at for result in failed.values()}) == 1, "one sync, one time"
    assert store.query(f"select complete {newest}") == [(False,), (False,)]
    store.wait(0.01)
    again = store.sync("rewards", "vip_tiers")
    assert all(result.complete for result in (*first.values(), *again.values()))
    assert store.query(f"select complete {newest}") == [(True,), (True,)]
    assert store.query("select count(*) from rivo_raw.sync_log") == [(6,)]


def test_key_refused_between_lists_ends_the_sync_unpublished(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    before = store.contents()
    store.wait()
    with pytest.raises(ApiError, match=r"^Rivo refused the key \(401\)"):
        store.sync(faults=["http_401:earning_rules"])
    assert store.contents() == before
    assert {file.name for file in store.path.parent.iterdir()} == {"rivo.duckdb", "rivo.lock"}


def test_key_refused_within_a_list_is_reported_as_refused_key(tmp_path: Path) -> None:
    def answer(asked: Asked, _: int) -> Reply:
        since_id, limit = (int(asked.params[f"pagination[{name}]"]) for name in ("since_id", "limit"))
        if since_id >= 500:
            return Reply({"error": "no"}, 401)
        rows = [{"id": since_id + n, "attributes": {"points_diff": n}} for n in range(1, limit + 1)]
        return Reply({"links": {"next_since_id": since_id + limit}, "data": rows})

    path = tmp_path / "rivo.duckdb"
    with answering(answer) as stub:
        settings = make_settings(api_key="once-right", api_url=stub.url)
        with (
            working_copy(Warehouse(path), settings) as work,
            pytest.raises(ApiError, match=r"^Rivo refused the key \(401\)"),
        ):
            list(sync_lists(work, settings, SyncOptions(only=("points_events",))))
    assert len(stub.asked) >= 3
    assert not path.exists()


def test_empty_answer_does_not_empty_a_table(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    before = state(store, "customers")
    store.wait()
    result = store.sync("customers", faults=["empty_page:customers"])["customers"]
    count = len(store.objects("customers"))
    assert not result.complete
    assert result.error == (
        f"Customers was refused: {count} of the {count} known rows that this read should have found are not among the "
        "0 that Rivo returned. A list that loses more than a fifth of its rows at once is more often a fault, or the "
        "key of another shop, than a deletion. No row of this list was loaded. If the rows are really gone, run "
        f"`{command()} sync --allow-shrink customers` once."
    )
    assert state(store, "customers") == before


@pytest.mark.parametrize(("share", "refused"), [(0.2, False), (0.25, True), (1.0, True)])
def test_shrink_guard_allows_a_fifth(open_store: OpenStore, share: float, refused: bool) -> None:
    store = open_store(loaded=True)
    ids = list(store.table("customers"))
    gone = ids[: int(len(ids) * share)]
    for id in gone:
        store.program.remove("customers", id, at=store.now)
    result = store.sync("customers")["customers"]
    assert result.complete is not refused
    assert result.counts.rows_deleted == (0 if refused else len(gone))
    if refused:
        result = store.sync("customers", allow_shrink=["rewards"])["customers"]
        assert not result.complete
        result = store.sync("customers", allow_shrink=["customers"])["customers"]
        assert (result.complete, result.counts.rows_deleted) == (True, len(gone))
    assert store.table("customers").keys() == store.objects("customers").keys()
    assert store.sync("customers")["customers"].complete, "the smaller list is the measure from now on"


def test_shrink_guard_applies_to_full_reads_only(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    ids = list(store.table("points_events"))
    for id in ids[: len(ids) // 2]:
        store.program.remove("points_events", id, at=store.now)
    assert store.sync("earning_rules", "points_events")["points_events"].complete
    result = store.sync("points_events", full=True)["points_events"]
    assert not result.complete
    assert "--allow-shrink points_events" in str(result.error)


def test_list_read_by_page_number_is_complete_and_noted(open_store: OpenStore) -> None:
    store = open_store(customers=300, months=1)
    for _ in range(2):
        result = store.sync("customers", faults=["cursor_ignored"])["customers"]
        assert result.complete
        assert len(result.warnings) == 1
        assert result.warnings[0].startswith("Customers: the server does not page by since_id")
        assert result.counts.rows_deleted == 0
        assert store.table("customers").keys() == store.objects("customers").keys()
    assert (result.counts.rows_new, result.counts.rows_changed) == (0, 0)

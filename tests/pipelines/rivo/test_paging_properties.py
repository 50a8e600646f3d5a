"""Property tests of paging: any ids, page sizes and numbers of workers, while rows are added, changed and deleted."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.load.sync import SyncOptions, sync_lists
from pipelines.rivo import paging, ranges
from pipelines.rivo.client import Client
from pipelines.rivo.decode import attribute_values, resource_id
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.paging import read_list
from pipelines.warehouse import Warehouse
from tests.harness.settings import make_settings
from tests.harness.stub import Asked, Reply, answering
from tests.harness.working_copy import working_copy

CUSTOMERS = ENDPOINTS["customers"]
FIRST = 7_000_000_000_000


@dataclass
class Moving:
    """A list that changes while it is read: `events` has the changes by the number of the request that they precede."""

    values: dict[int, int]
    events: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    requests: int = 0

    def __post_init__(self) -> None:
        """Keep every value that each row has had."""
        self.lock = threading.Lock()
        self.held = {id: {value} for id, value in self.values.items()}
        self.steady = set(self.values)

    def happen(self, what: str, id: int) -> None:
        """Delete a row, or add or change it by giving it its next value."""
        self.steady.discard(id)
        if what == "goes":
            self.values.pop(id, None)
        else:
            self.values[id] = max(self.held.get(id, {0})) + 1
            self.held.setdefault(id, set()).add(self.values[id])

    def answer(self, asked: Asked, number: int) -> Reply:
        """Return a page with the current rows."""
        with self.lock:
            for what, id in self.events.get(self.requests, ()):
                self.happen(what, id)
            self.requests += 1
            ids = sorted(self.values)
            limit = int(asked.params["pagination[limit]"])
            start = bisect_right(ids, int(asked.params["pagination[since_id]"]))
            found = ids[start : start + limit]
            more = start + limit < len(ids)
            rows = [
                {"id": id, "type": "customer", "attributes": {"id": id, "points_tally": self.values[id]}}
                for id in found
            ]
            return Reply({"links": {"next_since_id": found[-1] if more else None}, "data": rows})


@st.composite
def layouts(draw: st.DrawFn) -> list[int]:
    """Generate ids like those of shops: dense and sparse stretches with gaps in between."""
    ids, at = [], FIRST
    for _ in range(draw(st.integers(0, 4), label="stretches")):
        at += draw(st.sampled_from([1, 1_000, 10**9]), label="distance")
        gap = draw(st.sampled_from([1, 7, 33_000]), label="gap")
        for _ in range(draw(st.integers(1, 40), label="rows")):
            ids.append(at)
            at += gap
    return ids


@st.composite
def stores(draw: st.DrawFn) -> Moving:
    """Generate a list and its changes during the read."""
    ids = draw(layouts())
    span = st.sampled_from(ids) if ids else st.nothing()
    fresh = st.integers(FIRST, (ids[-1] if ids else FIRST) + 100)
    event = (
        st.tuples(st.just("comes"), fresh) | st.tuples(st.sampled_from(["changes", "goes"]), span)
        if ids
        else st.tuples(st.just("comes"), fresh)
    )
    events = draw(
        st.dictionaries(st.integers(0, 30), st.lists(event, max_size=3), max_size=6), label="events"
    )
    return Moving(dict.fromkeys(ids, 1), events)


@pytest.fixture(scope="module", autouse=True)
def _small_pages_side_by_side() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "_LATENCY_PER_WORKER", 1e-9)
        yield patch


@settings(max_examples=150)
@given(store=stores(), page_size=st.integers(1, 9), workers=st.integers(1, 6), data=st.data())
def test_every_row_is_read_once_with_a_consistent_value(
    store: Moving, page_size: int, workers: int, data: st.DataObject
) -> None:
    ids = sorted(store.values)
    known = data.draw(
        st.none() | st.lists(st.sampled_from(ids), unique=True).map(sorted) if ids else st.none(),
        label="known",
    )
    since_id = data.draw(st.just(0) | st.sampled_from(ids) if ids else st.just(0), label="since_id")
    if known is not None:
        known = [id for id in known if id > since_id]
    with pytest.MonkeyPatch.context() as patch, answering(store.answer) as stub:
        patch.setattr(paging, "PAGE_SIZE", page_size)
        patch.setattr(ranges, "PAGE_SIZE", page_size)
        client = Client.of_settings(make_settings(api_key="sandbox-key", api_url=stub.url))
        rows = [
            row
            for page in read_list(client, CUSTOMERS, since_id, pytest.fail, known, workers=workers)
            for row in page
        ]

    read = dict(zip(map(resource_id, rows), attribute_values(rows).get("points_tally", []), strict=True))
    counts = Counter(map(resource_id, rows))
    assert counts.most_common(1) == [] or counts.most_common(1)[0][1] == 1, "no row is read twice"
    assert {id for id in store.steady if id > since_id} <= read.keys(), "rows that exist throughout are read"
    for id, value in read.items():
        assert id is not None
        assert id > since_id
        assert value in store.held[id], "every value is one that the row has had"
    # The number of requests is bounded, and few of them return no rows.
    assert store.requests <= 3 * (len(store.held) / page_size + workers + 6)


@settings(max_examples=12)
@given(store=stores(), page_size=st.integers(2, 9))
def test_sync_loads_the_rows_of_a_changing_list(
    store: Moving, page_size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path: Path = tmp_path_factory.mktemp("moving") / "rivo.duckdb"
    options = SyncOptions(only=("customers",), allow_shrink=("customers",))
    with pytest.MonkeyPatch.context() as patch, answering(store.answer) as stub:
        patch.setattr(paging, "PAGE_SIZE", page_size)
        patch.setattr(ranges, "PAGE_SIZE", page_size)
        given = make_settings(api_key="sandbox-key", api_url=stub.url)
        for _ in range(2):
            with working_copy(Warehouse(path), given) as work:
                (result,) = sync_lists(work, given, options)
                assert result.complete, result.error
                work.publish()
            with Warehouse(path).read() as connection:
                landed = connection.execute(
                    "select id, points_tally from rivo_raw.customers where _deleted_at is null"
                ).fetchall()
                open_versions = connection.execute(
                    "select id, points_tally from rivo_raw.customers_history where valid_to is null"
                ).fetchall()
            assert len(landed) == len(dict(landed))
            assert sorted(landed) == sorted(open_versions)
            assert store.steady <= dict(landed).keys()
            assert all(value in store.held[id] for id, value in landed)
            # Nothing changes during the second sync.
            store.events.clear()
    assert dict(landed) == store.values

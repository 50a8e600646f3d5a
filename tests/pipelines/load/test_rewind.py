"""Rewinding after the API's clock ran ahead: later syncs count as of now, and no history is lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.errors import ApiError
from tests.harness.compare import Row
from tests.harness.store import Store
from tests.pipelines.conftest import OpenStore

YEAR = timedelta(days=365)


def spells(store: Store, id: int) -> list[Row]:
    sql = "select points_tally, valid_from, valid_to from rivo_raw.customers_history where id = ? order by valid_from"
    return store.dicts(sql, id)


def test_sync_after_clock_ran_ahead_names_rewind_option(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command in the message works where uv is not on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    store = open_store(loaded=True)
    store.server.date_offset = YEAR
    store.sync()
    store.server.date_offset = timedelta()
    store.wait()
    with pytest.raises(
        ApiError, match=r"histories cannot run backwards.*`\.venv/bin/rivo sync --rewind` once"
    ):
        store.sync()


def test_rewind_keeps_every_version_in_order(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    id = min(store.table("customers"))
    first = store.now
    second = store.wait()
    store.program.override("customers", id, at=second, points_tally=111_111)
    store.sync()
    # Two syncs a year ahead: the observation of the first one has no time left.
    for tally in (222_222, 333_333):
        store.wait(0.1)
        store.program.override("customers", id, at=store.now, points_tally=tally)
        store.server.date_offset = YEAR
        store.sync()
    store.server.date_offset = timedelta()
    now = store.wait(1)
    store.program.override("customers", id, at=now, points_tally=444_444)
    result = store.sync(rewind=True)["customers"]

    assert result.complete
    assert [(v["valid_from"], v["valid_to"]) for v in spells(store, id)] == [
        (first, second),
        (second, now),
        (now, None),
    ]
    assert [v["points_tally"] for v in spells(store, id)][1:] == [111_111, 444_444]
    assert store.query("select max(observed_at) from rivo_raw.sync_log") == [(now,)]
    assert store.query("select count(*) from rivo_raw.customers where _last_seen_at > ?", now) == [(0,)]
    store.wait()
    assert all(result.complete for result in store.sync().values())


def test_rewind_without_need_changes_nothing(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    before = store.contents()["customers_history"]
    store.sync(rewind=True)
    assert store.contents()["customers_history"] == before

"""Runs load deliveries of webhooks, and do without them where the journal cannot be used."""

from __future__ import annotations

from pathlib import Path

from sandbox import Event, ProgramOptions
from tests.harness.deliveries import keep
from tests.harness.store import open_store

OPTIONS = ProgramOptions(customers=10, months=1)


def test_runs_with_and_without_lists_load_deliveries(tmp_path: Path) -> None:
    with open_store(tmp_path / "rivo.duckdb", OPTIONS, selection="+stg_rivo__webhook_events") as store:
        count = "select count(*) from staging.stg_rivo__webhook_events"
        keep(store.path, store.settings, [Event("points_event/created", {"id": 1}, "w-1")])
        store.sync("vip_tiers", models=True)
        assert store.query(count) == [(1,)]

        keep(store.path, store.settings, [Event("points_event/created", {"id": 2}, "w-2")])
        store.build()

        assert store.query(count) == [(2,)]


def test_sync_publishes_although_the_journal_is_damaged_and_says_so(tmp_path: Path) -> None:
    with open_store(tmp_path / "rivo.duckdb", OPTIONS, selection="+stg_rivo__webhook_events") as store:
        store.path.with_name("rivo.webhooks.sqlite").write_bytes(b"no database " * 100)

        store.sync("vip_tiers", models=True)

        assert store.finished
        [problem] = store.finished.problems
        assert "rivo.webhooks.sqlite is damaged" in problem
        assert store.query("select count(*) > 0 from rivo_raw.vip_tiers") == [(True,)]

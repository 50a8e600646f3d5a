"""Dagster's SQLite storage with open connections: the same files with the same contents as Dagster's own."""

from __future__ import annotations

from pathlib import Path

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

from assets.instance.storage import OpenSqliteEventLogStorage, OpenSqliteStorage
from tests.harness.dagster import DagsterStore


def test_dagsters_own_storage_reads_the_same_events(store: DagsterStore) -> None:
    [run] = store.instance.get_runs(limit=1)
    assert isinstance(store.instance.event_log_storage, OpenSqliteEventLogStorage)
    events = [record.event_log_entry for record in store.instance.get_records_for_run(run.run_id).records]

    plain = SqliteEventLogStorage(str(store.folder / "dagster" / "history" / "runs"))

    assert [record.event_log_entry for record in plain.get_records_for_run(run.run_id).records] == events
    assert len(events) > 500


def test_event_databases_are_in_dagsters_own_folder(tmp_path: Path) -> None:
    plain = DagsterSqliteStorage(str(tmp_path)).event_log_storage
    own = OpenSqliteStorage(str(tmp_path)).event_log_storage

    assert isinstance(plain, SqliteEventLogStorage)
    assert isinstance(own, OpenSqliteEventLogStorage)
    assert own.path_for_shard("a-run") == plain.path_for_shard("a-run")

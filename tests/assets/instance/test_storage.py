"""Dagster's SQLite storage with open connections: the same files with the same contents as Dagster's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

from assets.instance import storage
from assets.instance.storage import OpenSqliteEventLogStorage, OpenSqliteStorage
from tests.harness.dagster import DagsterStore

RUN = "a-run"


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


@pytest.fixture
def event_log(tmp_path: Path) -> Iterator[OpenSqliteEventLogStorage]:
    """An event log without events."""
    opened = OpenSqliteEventLogStorage(str(tmp_path))
    yield opened
    opened.dispose()


def planned(number: int, partition: str | None = None) -> EventLogEntry:
    """Return the event of a planned table, or of a partition of it."""
    event = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
        "a_job",
        event_specific_data=AssetMaterializationPlannedData(dg.AssetKey(["marts", str(number)]), partition),
    )
    return entry(event)


def planned_check(number: int, *partitions: str) -> EventLogEntry:
    """Return the event of a planned check, or of partitions of it."""
    subset = dg.StaticPartitionsDefinition(["de", "fr"]).subset_with_partition_keys(partitions)
    event = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
        "a_job",
        step_key="sync",
        event_specific_data=AssetCheckEvaluationPlanned(
            asset_key=dg.AssetKey(["marts", str(number)]),
            check_name="not_null",
            partitions_subset=subset if partitions else None,
        ),
    )
    return entry(event)


def entry(event: dg.DagsterEvent | None) -> EventLogEntry:
    """Return a record of a run's log; without an event, a message."""
    return EventLogEntry(None, 10, "A message.", RUN, 1_790_000_000.0, dagster_event=event)


def seen(event_log: OpenSqliteEventLogStorage) -> tuple[int, int]:
    """Return the number of events that another process sees: those of the run, and those in the index."""
    counts = []
    for shard in (RUN, "index"):
        with sqlite3.connect(event_log.path_for_shard(shard)) as connection:
            counts += connection.execute("select count(*) from event_logs").fetchone()
    run, index = counts
    return run, index


def test_batch_is_written_in_one_transaction(
    event_log: OpenSqliteEventLogStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_HELD_SECONDS", 60)
    event_log.store_event(planned(0))
    before = seen(event_log)
    with event_log.one_transaction():
        event_log.store_event_batch([planned(number) for number in range(1, 300)])
        assert seen(event_log) == before == (1, 1)
        assert event_log.get_records_for_run(RUN).records[-1].event_log_entry == planned(299)

    assert seen(event_log) == (300, 300)
    assert len(event_log.all_asset_keys()) == 300


@pytest.mark.parametrize("partitions", [(), ("fr",), ("de", "fr")])
def test_plan_of_a_run_is_stored_as_dagster_stores_it(
    event_log: OpenSqliteEventLogStorage, tmp_path: Path, partitions: tuple[str, ...]
) -> None:
    partition = partitions[0] if partitions else None
    events = [
        event
        for number in range(7)
        for event in (planned(number, partition), planned_check(number, *partitions))
    ]
    assert all(map(storage._is_plan, events))
    plain = SqliteEventLogStorage(str(tmp_path / "plain"))
    plain.store_event_batch(events[:10])
    event_log.store_event_batch(events[:10])
    # Later, when the tables of the databases are known.
    plain.store_event_batch(events[10:])
    event_log.store_event_batch(events[10:])

    for shard in (RUN, "index"):
        assert contents(event_log, shard) == contents(plain, shard)


def test_batch_that_fails_leaves_no_event(
    event_log: OpenSqliteEventLogStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise sa.exc.OperationalError("insert", None, Exception("database is locked"))

    with event_log.one_transaction():
        event_log.store_event(planned(1))
        with monkeypatch.context() as patch:
            patch.setattr(event_log, "_store_asset_event", refuse)
            with pytest.raises(sa.exc.OperationalError):
                event_log.store_event_batch([planned(2), planned(3)])
        assert seen(event_log) == (1, 1)
        event_log.store_event(planned(4))
    assert seen(event_log) == (2, 2)


def test_event_log_works_after_a_batch_that_could_not_be_committed(
    event_log: OpenSqliteEventLogStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise sa.exc.OperationalError("commit", None, Exception("database or disk is full"))

    def store() -> None:
        with event_log.one_transaction():
            event_log.store_event(planned(1))
            patch.setattr(sa.Connection, "commit", refuse)

    event_log.store_event(planned(0))
    monkeypatch.setattr(storage, "_HELD_SECONDS", 60)
    with monkeypatch.context() as patch, pytest.raises(sa.exc.OperationalError):
        store()
    event_log.store_event(planned(2))

    assert seen(event_log) == (2, 2)


def contents(event_log: SqliteEventLogStorage, shard: str) -> dict[str, list[tuple]]:
    """Return the rows of a database's tables of events, but for when they were written."""
    rows = {}
    with sqlite3.connect(event_log.path_for_shard(shard)) as connection:
        for table in ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions"):
            columns = [name for _, name, *_ in connection.execute(f"pragma table_info({table})")]
            lasting = ", ".join(f'"{name}"' for name in columns if name != "create_timestamp")
            rows[table] = connection.execute(f"select {lasting} from {table} order by id").fetchall()
    return rows


def test_message_in_a_batch_is_seen_at_once(event_log: OpenSqliteEventLogStorage) -> None:
    with event_log.one_transaction():
        event_log.store_event(planned(1))
        event_log.store_event(entry(None))
        assert seen(event_log) == (2, 1)


def test_batch_is_seen_after_half_a_second(
    event_log: OpenSqliteEventLogStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(storage.time, "monotonic", lambda: now)
    with event_log.one_transaction():
        event_log.store_event(planned(1))
        now = 0.6
        event_log.store_event(planned(2))
        assert seen(event_log) == (2, 2)


def test_batch_is_kept_when_the_run_breaks_off(event_log: OpenSqliteEventLogStorage) -> None:
    with suppress(KeyboardInterrupt), event_log.one_transaction():
        event_log.store_event(planned(1))
        raise KeyboardInterrupt

    assert seen(event_log) == (1, 1)
    event_log.store_event(planned(2))
    assert seen(event_log) == (2, 2)


def test_watcher_is_notified_when_a_batch_is_written(event_log: OpenSqliteEventLogStorage) -> None:
    event_log.store_event(planned(1))
    path = Path(event_log.path_for_shard(RUN))
    before = path.stat().st_mtime_ns
    with event_log.one_transaction():
        event_log.store_event(planned(2))
    assert path.stat().st_mtime_ns > before

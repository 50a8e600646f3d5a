"""Dagster's SQLite storage with connections that stay open, and a connection pool for Postgres.

Dagster opens a SQLite database several times an event, compiles its statements, syncs it to disk, and closes it. A
daily sync writes a thousand events, and that took longer than the sync itself. The files, the tables and their contents
are the same as with Dagster's own storage, so `dagster.yaml` can switch between the two at any time.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from threading import Lock, local
from typing import Any

from dagster import DagsterEventType, DagsterInstance
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event

_OPEN_DATABASES = 8
"""Databases kept open: the index and those of the runs used last. A webserver reads many runs in its lifetime."""
_BUSY_SECONDS = 30
"""How long SQLite waits for a lock that another process holds."""
_HELD_SECONDS = 0.5
"""How long events of a batch may wait to be seen by other processes."""
_MANY = frozenset(
    {
        DagsterEventType.ASSET_CHECK_EVALUATION,
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        DagsterEventType.STEP_OUTPUT,
    }
)
"""Events of which a run has hundreds. Any other, such as a failure, ends a batch: a process may stop after it."""
_STATEMENT_SECONDS = 60
"""Timeout of one statement in Postgres."""
_RECYCLE_SECONDS = 60
"""Age at which a connection to Postgres is replaced: proxies may drop one that is idle while a long list is read."""


class _Held(local):
    """The connections of a thread that is in `one_transaction`, by database."""

    connections: dict[str, Connection] | None = None
    since: float = 0.0


class OpenSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's event log in SQLite: one database for each run, and an index of all runs."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._engines_lock = Lock()
        self._tables: set[str] = set()
        self._has_columns = False
        self._held = _Held()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def run_connection(self, run_id: str | None = None) -> Iterator[Connection]:
        """Open a transaction on the database of a run."""
        # Events outside a run, such as those that sensors report, have an empty id.
        assert run_id is not None
        with self._connection(run_id) as connection:
            yield connection

    @contextmanager
    def index_connection(self) -> Iterator[Connection]:
        """Open a transaction on the database that all runs share."""
        with self._connection(INDEX_SHARD_NAME) as connection:
            yield connection

    @contextmanager
    def one_transaction(self) -> Iterator[None]:
        """Write what this thread stores in the block in one transaction a database, not one for each statement.

        A transaction lasts `_HELD_SECONDS` at most, so that other processes see the events and can write.
        """
        if self._held.connections is not None:
            yield
            return
        self._held.connections = {}
        self._held.since = time.monotonic()
        try:
            yield
        finally:
            try:
                self._end()
            finally:
                self._held.connections = None

    @contextmanager
    def _connection(self, shard: str) -> Iterator[Connection]:
        if (held := self._held.connections) is None:
            with self._engine(shard).begin() as connection:
                yield connection
            return
        if shard not in held:
            held[shard] = self._engine(shard).connect()
            # Otherwise Dagster would begin and commit transactions of its own.
            held[shard].begin()
        yield held[shard]

    def _end(self, *, commit: bool = True) -> None:
        """End the transactions of `one_transaction`."""
        held = self._held.connections or {}
        self._held.since = time.monotonic()
        with ExitStack() as stack:
            for shard, connection in held.items():
                stack.callback(self._notify, shard)
                stack.callback(connection.close)
                stack.callback(connection.commit if commit else connection.rollback)
            held.clear()

    def _notify(self, shard: str) -> None:
        """Notify the processes that watch a database file.

        Until the database is closed, SQLite writes to the -wal file beside it, which is not watched.
        """
        os.utime(self.path_for_shard(shard))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write events in one transaction, and those that plan a run with few statements."""
        with self.one_transaction():
            self._end()
            try:
                if events and all(map(_is_plan, events)):
                    self._store_plan(events)
                else:
                    super().store_event_batch(events)
            except Exception:
                # Dagster then stores the events again, one by one.
                self._end(commit=False)
                raise

    def _store_plan(self, events: Sequence[EventLogEntry]) -> None:
        """Write what `store_event` writes for each of these planned tables and checks of a run."""
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(events[0].run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_connection() as connection:
            checks = []
            for event, row in zip(events, rows, strict=True):
                inserted = connection.execute(SqlEventLogStorageTable.insert(), row).inserted_primary_key
                assert inserted is not None
                if check := _planned_check(event):
                    checks += _executions_of(check, row, inserted[0])
                else:
                    self._store_asset_event(connection, event, inserted[0])
            if checks:
                connection.execute(AssetCheckExecutionsTable.insert(), checks)

    def store_event(self, event: EventLogEntry) -> None:
        """Write an event, and notify the processes that watch the database file of its run."""
        super().store_event(event)
        if self._held.connections is None:
            self._notify(event.run_id)
        elif event.dagster_event_type not in _MANY or time.monotonic() - self._held.since > _HELD_SECONDS:
            self._end()

    def delete_events(self, run_id: str) -> None:
        """Delete a run's events and its database files."""
        super().delete_events(run_id)
        with self._engines_lock:
            if engine := self._engines.pop(run_id, None):
                engine.dispose()
        for end in ("", "-wal", "-shm"):
            Path(self.path_for_shard(run_id) + end).unlink(missing_ok=True)

    def has_table(self, table_name: str) -> bool:
        """Return whether a table exists; cached, since Dagster asks for each event and never drops a table."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:
        """Return whether a column exists; cached for the same reason."""
        self._has_columns = self._has_columns or super()._has_asset_key_index_cols_on_connection(conn)
        return self._has_columns

    def wipe(self) -> None:
        """Delete the events of all runs."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close all databases."""
        super().dispose()
        self._close()

    def _close(self) -> None:
        with self._engines_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()

    def _engine(self, shard: str) -> Engine:
        with self._engines_lock:
            engine = self._engines.get(shard)
            if engine is None or not Path(self.path_for_shard(shard)).exists():
                # Dagster's own method to connect creates the tables of a new database.
                with self._connect(shard):
                    pass
                engine = self._engines[shard] = _open(self.conn_string_for_shard(shard))
            self._engines.move_to_end(shard)
            while len(self._engines) > _OPEN_DATABASES:
                oldest = next(name for name in self._engines if name != INDEX_SHARD_NAME)
                self._engines.pop(oldest).dispose()
            return engine


def _planned_check(event: EventLogEntry) -> AssetCheckEvaluationPlanned | None:
    data = event.dagster_event.event_specific_data if event.dagster_event else None
    return data if isinstance(data, AssetCheckEvaluationPlanned) else None


def _is_plan(event: EventLogEntry) -> bool:
    return (
        _planned_check(event) is not None
        or event.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    )


def _executions_of(
    check: AssetCheckEvaluationPlanned, row: Mapping[str, Any], event_id: int
) -> list[dict[str, Any]]:
    """Return the rows of a planned check, one for each partition that it is planned for."""
    subset = check.partitions_subset
    return [
        {
            "asset_key": check.asset_key.to_string(),
            "check_name": check.check_name,
            "partition": partition,
            "run_id": row["run_id"],
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": row["event"],
            "evaluation_event_timestamp": row["timestamp"],
            "evaluation_event_storage_id": event_id,
        }
        for partition in (subset.get_partition_keys() if subset else [None])
    ]


def _open(address: str) -> Engine:
    engine = create_engine(address, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _no_sync_at_each_commit(connection: Any, _record: object) -> None:
        # Safe with a write-ahead log: a power cut can lose the last events, but cannot damage the database.
        connection.execute("pragma synchronous = normal")

    return engine


def keep_connections(instance: DagsterInstance) -> None:
    """Keep connections to Postgres in a pool; by default Dagster opens one for each statement.

    Has no effect on SQLite, whose connections always stay open.
    """
    # Written for the webserver, but Dagster has no other way to set a pool.
    instance.optimize_for_webserver(
        statement_timeout=_STATEMENT_SECONDS * 1000, pool_recycle=_RECYCLE_SECONDS, max_overflow=20
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder. Without it, two processes that create the same tables at once fail."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class OpenSqliteStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage with `OpenSqliteEventLogStorage` as its event log. `dagster.yaml` names this class."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        with _locked(Path(base_dir)):
            super().__init__(base_dir, inst_data)
            self._event_log_storage = OpenSqliteEventLogStorage(str(Path(base_dir) / "history" / "runs"))

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> OpenSqliteStorage:
        """Create the storage from its entry in `dagster.yaml`."""
        return cls.from_local(inst_data=inst_data, **config_value)


@contextmanager
def one_transaction(instance: DagsterInstance) -> Iterator[None]:
    """Write the many events of the block in few transactions. Has no effect on a storage that is not ours."""
    storage = instance.event_log_storage
    with storage.one_transaction() if isinstance(storage, OpenSqliteEventLogStorage) else nullcontext():
        yield

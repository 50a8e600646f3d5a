"""Dagster's own storage, in SQLite or Postgres, with connections that stay open.

Dagster opens, compiles for, syncs and closes a database several times an event. A daily sync has a thousand
events, which took longer than the sync. Files and tables and their contents are Dagster's, so that
`dagster.yaml` may name either storage at any time.
"""

from __future__ import annotations

import fcntl
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from dagster import DagsterInstance
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event

_OPEN_DATABASES = 8
"""The index, and the runs last read or written; a webserver looks at many runs in its life."""
_BUSY_SECONDS = 30
_STATEMENT_SECONDS = 60


class OpenSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's event log in SQLite: one database a run, and an index over all."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._engines_lock = Lock()
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def run_connection(self, run_id: str | None = None) -> Iterator[Connection]:
        """A transaction on the database of a run."""
        # Events of no run, as sensors tell them, have an empty id.
        assert run_id is not None
        with self._engine(run_id).begin() as connection:
            yield connection

    @contextmanager
    def index_connection(self) -> Iterator[Connection]:
        """A transaction on the database that all runs share."""
        with self._engine(INDEX_SHARD_NAME).begin() as connection:
            yield connection

    def store_event(self, event: EventLogEntry) -> None:
        """Write an event, and tell who watches the file of its run."""
        super().store_event(event)
        # What is written goes to the log beside the database until that is closed; watchers look at the database.
        os.utime(self.path_for_shard(event.run_id))

    def delete_events(self, run_id: str) -> None:
        """Forget a run, and free what its database took."""
        super().delete_events(run_id)
        with self._engines_lock:
            if engine := self._engines.pop(run_id, None):
                engine.dispose()
        for end in ("", "-wal", "-shm"):
            Path(self.path_for_shard(run_id) + end).unlink(missing_ok=True)

    def has_table(self, table_name: str) -> bool:
        """Whether the databases have a table; asked at each event, and tables do not go."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def wipe(self) -> None:
        """Forget all runs."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close everything."""
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
                # Dagster's own way to connect creates the tables of a new database.
                with self._connect(shard):
                    pass
                engine = self._engines[shard] = _open(self.conn_string_for_shard(shard))
            self._engines.move_to_end(shard)
            while len(self._engines) > _OPEN_DATABASES:
                oldest = next(name for name in self._engines if name != INDEX_SHARD_NAME)
                self._engines.pop(oldest).dispose()
            return engine


def _open(address: str) -> Engine:
    engine = create_engine(address, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _no_sync_at_each_commit(connection: Any, _record: object) -> None:
        # With a write-ahead log this is safe: a power cut may cost the last events, never the database.
        connection.execute("pragma synchronous = normal")

    return engine


def keep_connections(instance: DagsterInstance) -> None:
    """Use a connection to Postgres for a minute, where it would be a new one for each statement; SQLite's stay anyway.

    A minute, since what stands between may drop a connection on which nothing happens while a long list is read.
    """
    # The webserver's way, and the only one that Dagster has.
    instance.optimize_for_webserver(
        statement_timeout=_STATEMENT_SECONDS * 1000, pool_recycle=60, max_overflow=20
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from making the same tables: of two that find none, one would fail."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class OpenSqliteStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage with that event log. Named in `dagster.yaml`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        with _alone(Path(base_dir)):
            super().__init__(base_dir, inst_data)
            self._event_log_storage = OpenSqliteEventLogStorage(str(Path(base_dir) / "history" / "runs"))

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> OpenSqliteStorage:
        """Make the storage that `dagster.yaml` describes."""
        return cls.from_local(inst_data=inst_data, **config_value)

"""Journals beside the warehouse: small SQLite files that no sync replaces.

A journal records what must not be lost between two syncs, and is written before the outside world sees it: the outbox
of actions, and webhook deliveries. Every commit is flushed to the disk.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipelines.errors import WarehouseError

OUTBOX = "outbox"
"""The journal of actions."""
_BUSY_SECONDS = 30.0
"""How long a write waits for another process that is writing."""


def journal_path(published: Path, kind: str) -> Path:
    """Return the journal of a kind beside the published file, such as `rivo.outbox.sqlite`."""
    return published.with_name(f"{published.stem}.{kind}.sqlite")


@contextmanager
def open_journal(path: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """Open a journal, and create it with the SQL script `schema` if it is new.

    The connection is in autocommit mode: `with connection:` does not open a transaction; execute `begin immediate`.
    Deleted rows are overwritten with zeros (`secure_delete`).

    Raises:
        WarehouseError: the file cannot be read or written, or is not a journal.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from None
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma secure_delete = on")
        connection.executescript(schema)
        yield connection
    except sqlite3.Error as error:
        raise _unusable(path, error) from None
    finally:
        connection.close()


def copy_journal(source: Path, target: Path) -> None:
    """Copy a journal as it is now, also while another process writes into it.

    Raises:
        WarehouseError: it cannot be read, or the copy cannot be written.
    """
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
            # A copy is one file.
            new.execute("pragma journal_mode = delete")
    except (OSError, sqlite3.Error) as error:
        raise _unusable(source, error) from None


def shred(connection: sqlite3.Connection) -> None:
    """Rewrite a journal, so that neither the file nor its write-ahead log holds bytes of deleted rows."""
    connection.execute("vacuum")
    connection.execute("pragma wal_checkpoint(truncate)")


def _unusable(path: Path, error: Exception) -> WarehouseError:
    reason = getattr(error, "strerror", None) or str(error)
    if "not a database" in reason or "malformed" in reason:
        return WarehouseError(
            f"{path} is damaged ({reason}). Restore it from a copy. Do not delete it: it records what was sent to Rivo "
            "or received from it, and is the only record of that since the last sync."
        )
    return WarehouseError(
        f"{path} cannot be used ({reason}). Check the permissions of its folder and the free space of the disk."
    )


@contextmanager
def sole_use(path: Path, message: str) -> Iterator[None]:
    """Lock a journal for a command that must not run twice at once.

    Raises:
        WarehouseError: another process holds the lock, with `message`; or the lock cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock_of(path).open("a+")
    except OSError as error:
        raise _unusable(path, error) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WarehouseError(message) from None
        yield


def is_in_use(path: Path) -> bool:
    """Return whether a process holds the lock of a journal."""
    try:
        # Opened for reading, because the caller may not be allowed to write.
        lock = _lock_of(path).open()
    except OSError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")

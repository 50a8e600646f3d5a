"""Journals beside the warehouse: small SQLite files that no sync replaces.

A journal records what must not be lost between two syncs, and is written before the outside world sees it: the outbox
of actions, and webhook deliveries. Every commit is flushed to the disk.
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipelines.errors import WarehouseError
from pipelines.warehouse.files import is_locked, sync_to_disk

OUTBOX = "outbox"
"""The journal of actions."""
WEBHOOKS = "webhooks"
"""The journal of webhook deliveries."""
_LOCK_ATTEMPTS = 10
_LOCK_SECONDS = 0.05
_BUSY_SECONDS = 30.0
"""Seconds for which a write waits for another process that is writing."""


def journal_path(published: Path, kind: str) -> Path:
    """Return the journal of a kind beside the published file, such as `rivo.outbox.sqlite`."""
    # `rivo.db` beside `rivo.duckdb` has journals of its own.
    suffix = "" if published.suffix in ("", ".duckdb") else published.suffix
    return published.with_name(f"{published.stem}{suffix}.{kind}.sqlite")


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
        unfinished = target.with_name(f"{target.name}.unfinished")
        unfinished.unlink(missing_ok=True)
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(unfinished)) as new:
            old.backup(new)
            # A copy is one file.
            new.execute("pragma journal_mode = delete")
        sync_to_disk(unfinished)
        unfinished.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(source, error) from None


def write_secret(file: Path, secret: str) -> None:
    """Write a secret into a file that only its owner may read, in one step and flushed to the disk.

    Raises:
        WarehouseError: it cannot be written.
    """
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        unfinished.touch(mode=0o600)
        unfinished.write_text(f"{secret}\n")
        sync_to_disk(unfinished)
        unfinished.replace(file)
    except OSError as error:
        raise _unusable(file, error) from None


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
        # Another command that only looks whether the lock is taken holds it for an instant.
        for attempt in range(_LOCK_ATTEMPTS):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if attempt == _LOCK_ATTEMPTS - 1:
                    raise WarehouseError(message) from None
                time.sleep(_LOCK_SECONDS)
        yield


def is_in_use(path: Path) -> bool:
    """Return whether a process holds the lock of a journal."""
    return is_locked(_lock_of(path))


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")

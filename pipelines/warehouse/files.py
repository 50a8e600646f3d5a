"""The files of a warehouse: their names, durable renames, and rewriting."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import duckdb

from pipelines.sql import literal, quoted
from pipelines.warehouse.storage_errors import unwritable

_FICLONE = 0x40049409
"""Linux's request to clone a file; `fcntl` has it from Python 3.12 on."""


def sibling(published: Path, kind: str) -> Path:
    """Return the file beside the published one of a kind: 'build', 'pending' or 'news' (recent events)."""
    return published.with_name(f"{published.stem}.{kind}{published.suffix or '.duckdb'}")


def report_path(published: Path, name: str = "") -> Path:
    """Return the report page beside the published file, such as `rivo.report.html` or `rivo.report-2026-09.html`."""
    suffix = "" if published.suffix == ".duckdb" else published.suffix
    return published.with_name(f"{published.stem}{suffix}.report{f'-{name}' if name else ''}.html")


def last_publications_path(published: Path) -> Path:
    """Return the file that says how publications to targets ended, such as `rivo.targets.json`."""
    return published.with_name(f"{published.stem}.targets.json")


def scratch_of(published: Path) -> Path:
    """Return the folder of load packages and spilled data while the working copy is open."""
    return published.with_suffix(".scratch")


def base_of(published: Path) -> Path:
    """Return the file that the next sync starts from: a pending result, or else the published file."""
    pending = sibling(published, "pending")
    return pending if pending.exists() else published


def wal_of(path: Path) -> Path:
    """Return DuckDB's write-ahead log of a database file."""
    return Path(f"{path}.wal")


def discard(build_path: Path, scratch: Path) -> None:
    """Delete a working copy, its write-ahead log and its scratch folder, if they exist."""
    for path in (build_path, wal_of(build_path)):
        path.unlink(missing_ok=True)
    shutil.rmtree(scratch, ignore_errors=True)


def is_locked(lock_file: Path) -> bool:
    """Return whether a process holds the lock of a file right now; false if there is no such file."""
    try:
        # Opened for reading, because the caller may not be allowed to write.
        lock = lock_file.open()
    except OSError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def clone(source: Path, target: Path) -> None:
    """Copy a file to a name that does not exist yet.

    Where the file system can (APFS, Btrfs, XFS), the copy shares its blocks with the source until one of them is
    written, as with `cp --reflink=auto`: it takes no time and no space, whatever the size.

    Raises:
        OSError: it could not be read or written.
    """
    if sys.platform == "darwin":
        libc = ctypes.CDLL(None)
        if libc.clonefile(os.fsencode(source), os.fsencode(target), 0) == 0:
            return
    elif sys.platform == "linux":
        with source.open("rb") as read, target.open("xb") as written, suppress(OSError):
            fcntl.ioctl(written, _FICLONE, read.fileno())
            return
    shutil.copyfile(source, target)


def sync_to_disk(path: Path) -> None:
    """Flush the content of a file, or the list of names of a folder, to the disk (fsync).

    Raises:
        OSError: it could not be written.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(source: Path, target: Path, published: Path) -> None:
    """Flush a file to the disk, then rename it: a power cut leaves the old file or the new one, both complete.

    Raises:
        WarehouseError: DuckDB could not write all of `source`.
    """
    if wal_of(source).exists():
        # DuckDB does not report an error if its last write, on closing, fails.
        raise unwritable(published, "the file is incomplete; the disk is probably full")
    sync_to_disk(source)
    sync_to_disk(source.parent)
    source.replace(target)


def rewrite(path: Path, scratch: Path) -> None:
    """Write a database file again from its tables, because its free blocks still hold deleted rows."""
    fresh = scratch / "fresh.duckdb"
    with duckdb.connect(config={"temp_directory": str(scratch / "spill")}) as connection:
        connection.execute(f"attach {literal(str(path))} as old (read_only)")
        # The new file keeps the format of the old one, so that the programs that read it can read it.
        [[version, block]] = connection.execute(
            "select tags['storage_version'], block_size from duckdb_databases() "
            "inner join pragma_database_size() using (database_name) where database_name = 'old'"
        ).fetchall()
        connection.execute(
            f"attach {literal(str(fresh))} as new "
            f"(storage_version {literal(version.rstrip('+'))}, block_size {block})"
        )
        connection.execute("copy from database old to new")
        # DuckDB copies the comments of tables but not those of columns.
        comments = connection.execute(
            "select schema_name, table_name, column_name, comment from duckdb_columns() "
            "where database_name = 'old' and comment is not null and not internal "
            "and (schema_name, table_name) in "
            "(select (schema_name, table_name) from duckdb_tables() where database_name = 'old')"
        ).fetchall()
        for schema, table, column, comment in comments:
            name = ".".join(map(quoted, (schema, table, column)))
            connection.execute(f"comment on column new.{name} is {literal(comment)}")
        connection.execute("detach new; detach old")
    fresh.replace(path)

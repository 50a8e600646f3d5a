"""Where the data lives. Nothing outside this module knows that the warehouse is a file.

Three files stand beside each other, for a warehouse called `rivo.duckdb`:

- `rivo.duckdb`, published: what people read; only ever replaced whole, by a rename.
- `rivo.build.duckdb`: the copy a running sync works in. A sync that dies leaves it behind; the next one
  throws it away and starts again from the last complete state.
- `rivo.pending.duckdb`: the complete result of a sync whose blocking checks failed. It is not shown to
  readers, but the next sync starts from it, so that no observation is lost.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb

from pipelines.errors import NoWarehouse, SettingsError, WarehouseError
from pipelines.settings import PROJECT
from pipelines.warehouse.storage_errors import refuse_foreign, told, told_in_text, unreadable, unwritable

RAW = "rivo_raw"
DEMO = "data/demo.duckdb"
READING_MEMORY_MB = 192
"""What DuckDB may hold while lists are read and merged; it spills what is more. Models set their own."""
_USUAL_CHUNK_BYTES = 32_000_000
_TIMES_A_CHUNK = 8
"""A merge holds a chunk of long texts several times over, and cannot spill a row."""
_KIND = re.compile(r":memory:|[A-Za-z][A-Za-z0-9+.-]+:(//)?")


@dataclass
class Build:
    """The working copy of the warehouse while a sync or a model build runs."""

    path: Path
    scratch: Path
    """A folder for load packages; gone when the build ends."""
    published: Path
    connection: duckdb.DuckDBPyConnection
    """The only connection to the working copy, in UTC; dlt and the models share it."""
    is_rewritten: bool = False
    """Whether the file must not keep the bytes of what was removed from it."""

    def blame(self, said: str) -> WarehouseError | None:
        """The sentence for what DuckDB said of a model, where not the model but the disk or the file is to blame."""
        return told_in_text(self.published, latest(self.published), self.path, said)

    def keep(self) -> None:
        """Make the working copy the state the next sync starts from, without showing it to readers."""
        # Closing writes everything into the file itself and leaves no log beside it.
        self.connection.close()
        if self.is_rewritten:
            _write_afresh(self.path, self.scratch)
            news_file(self.published).unlink(missing_ok=True)
        _replace(self.path, _sibling(self.published, "pending"), self.published)

    def publish(self) -> None:
        """Make the working copy the published file, in one step; open readers keep what they have."""
        self.keep()
        pending = _sibling(self.published, "pending")
        if self.published.exists():
            shutil.copymode(self.published, pending)
        # Left by a reader that wrote and died; DuckDB would replay it into the new file.
        Path(f"{self.published}.wal").unlink(missing_ok=True)
        _replace(pending, self.published, self.published)
        news_file(self.published).unlink(missing_ok=True)


def resolve(warehouse: str) -> Path:
    """The file that a RIVO_WAREHOUSE value names: a path (relative ones from the project) or duckdb:///path.

    Raises:
        SettingsError: for any other kind of URL, and where nobody may look into the folder.
    """
    kind = _KIND.match(warehouse)
    if kind:
        parts = urlsplit(warehouse)
        if not warehouse.startswith("duckdb:///"):
            raise SettingsError(
                f"RIVO_WAREHOUSE: {kind[0]} is not a kind of warehouse this release knows. "
                "Use a path such as data/rivo.duckdb, or duckdb:///absolute/path.duckdb."
            )
        warehouse = unquote(parts.path)
    try:
        path = Path(warehouse).expanduser()
    except RuntimeError:
        raise SettingsError(f"RIVO_WAREHOUSE: there is no user {Path(warehouse).parts[0]}.") from None
    if not path.name:
        raise SettingsError("RIVO_WAREHOUSE: this names no file. Use a path such as data/rivo.duckdb.")
    # Behind a link stands the file that people read: that one is to be replaced.
    path = (path if path.is_absolute() else PROJECT / path).resolve()
    try:
        # The longest name that will be asked for.
        _sibling(path, "pending").exists()
    except OSError as error:
        raise SettingsError(f"RIVO_WAREHOUSE: {path} cannot be reached ({error.strerror}).") from None
    return path


@contextmanager
def building(published: Path, *, is_fresh: bool = False) -> Iterator[Build]:
    """Hold the warehouse's lock and a working copy of its last complete state; nothing of it stays on an error.

    A fresh working copy begins empty, whatever there is. The caller ends with `Build.publish` or `Build.keep`.

    Raises:
        WarehouseError: another sync holds the warehouse, the folder cannot be written, or the file is no
            DuckDB database that this release can open.
    """
    build_path = _sibling(published, "build")
    scratch = published.with_suffix(".scratch")
    try:
        published.parent.mkdir(parents=True, exist_ok=True)
        lock = published.with_suffix(".lock").open("a+")
    except OSError as error:
        raise unwritable(published, error.strerror or str(error)) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WarehouseError(
                f"Another sync is working on {published} right now. Wait for it to end, then run this one again."
            ) from None
        connection = None
        base = latest(published)
        try:
            _discard(build_path, scratch)
            scratch.mkdir()
            connection = _open_copy(base, build_path, scratch, is_fresh)
            yield Build(build_path, scratch, published, connection)
        except (OSError, duckdb.Error) as error:
            sentence = told(published, base, build_path, error)
            if sentence is None:
                raise
            raise sentence from None
        finally:
            if connection is not None:
                connection.close()
            _discard(build_path, scratch)


def _open_copy(base: Path, build_path: Path, scratch: Path, is_fresh: bool) -> duckdb.DuckDBPyConnection:
    if base.exists() and not is_fresh:
        refuse_foreign(base)
        shutil.copyfile(base, build_path)
    try:
        # Spilling beside the warehouse, not into a /tmp that may be small.
        connection = duckdb.connect(
            str(build_path),
            config={
                "temp_directory": str(scratch / "spill"),
                "memory_limit": f"{READING_MEMORY_MB}MB",
                "preserve_insertion_order": False,
            },
        )
    except duckdb.Error as error:
        raise unreadable(base, error, build_path) from None
    connection.execute("set global TimeZone = 'UTC'")
    return connection


def make_room(build: Build, chunk_bytes: int) -> None:
    """Let DuckDB hold more while rows of an unusual size are merged: a name of 1 MB, a hundred thousand tags."""
    if chunk_bytes > _USUAL_CHUNK_BYTES:
        megabytes = READING_MEMORY_MB + _TIMES_A_CHUNK * chunk_bytes // 1_000_000
        build.connection.execute(f"set global memory_limit = '{megabytes}MB'")


def read_only(path: Path, spill: str | None = None) -> duckdb.DuckDBPyConnection:
    """A read-only connection to a published warehouse, in UTC, that cannot reach other files.

    DuckDB itself still lets COPY write over the open file: whoever takes SQL from outside must let only
    statements through that read. What does not fit into memory goes to the folder `spill`, else beside the file.

    Raises:
        NoWarehouse: it is not there.
        WarehouseError: it cannot be opened.
    """
    if not path.exists():
        raise NoWarehouse(
            f"There is no warehouse at {path} yet. Run `make sync` first: with RIVO_API_KEY it loads your shop, "
            "without a key a demo with a simulated one, in about two minutes."
        )
    refuse_foreign(path)
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        # Else the name of a variable of this program would pass for a table.
        "python_enable_replacements": False,
    }
    if spill:
        config["temp_directory"] = spill
    try:
        connection = duckdb.connect(str(path), read_only=True, config=config)
    except duckdb.Error as error:
        raise unreadable(path, error) from None
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    return connection


def latest(published: Path) -> Path:
    """The file that the next sync starts from: what is published, or a later result that waits for publishing."""
    return unpublished(published) or published


def unpublished(published: Path) -> Path | None:
    """The complete result of a sync that was not published because a model or a blocking check failed."""
    pending = _sibling(published, "pending")
    return pending if pending.exists() else None


def is_being_built(published: Path) -> bool:
    """Whether a sync or a model build works on this warehouse right now."""
    # Without a working copy nobody does, and asking for the lock could keep away a sync that just begins.
    if not _sibling(published, "build").exists():
        return False
    try:
        # Only read, since whoever asks may have no right to write here.
        lock = published.with_suffix(".lock").open()
    except OSError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def news_file(published: Path) -> Path:
    """The small warehouse beside the published one that holds rows newer than that; gone with the next sync."""
    return _sibling(published, "news")


def _sibling(published: Path, kind: str) -> Path:
    return published.with_name(f"{published.stem}.{kind}{published.suffix or '.duckdb'}")


def _discard(build_path: Path, scratch: Path) -> None:
    for path in (build_path, Path(f"{build_path}.wal")):
        path.unlink(missing_ok=True)
    shutil.rmtree(scratch, ignore_errors=True)


def _write_afresh(path: Path, scratch: Path) -> None:
    """Write a database file anew: what was deleted stays in its free blocks otherwise."""
    fresh = scratch / "fresh.duckdb"
    with duckdb.connect(config={"temp_directory": str(scratch / "spill")}) as connection:
        connection.execute(f"attach '{_escaped(path)}' as old (read_only); attach '{_escaped(fresh)}' as new")
        connection.execute("copy from database old to new")
        # It copies comments of tables, not those of columns.
        comments = connection.execute(
            "select schema_name, table_name, column_name, comment from duckdb_columns() "
            "where database_name = 'old' and comment is not null and not internal "
            "and (schema_name, table_name) in "
            "(select (schema_name, table_name) from duckdb_tables() where database_name = 'old')"
        ).fetchall()
        for schema, table, column, comment in comments:
            text = comment.replace("'", "''")
            connection.execute(f'comment on column new."{schema}"."{table}"."{column}" is \'{text}\'')
        connection.execute("detach new; detach old")
    fresh.replace(path)


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")


def _replace(source: Path, target: Path, published: Path) -> None:
    """Rename after everything has reached the disk, so that a power cut shows the old file or the new one."""
    if Path(f"{source}.wal").exists():
        # DuckDB does not say when the last writing fails that it does on closing.
        raise unwritable(published, "not all of it could be written; most likely the disk is full")
    for path in (source, source.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    source.replace(target)

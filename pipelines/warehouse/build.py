"""The working copy of a warehouse: a copy of the last complete state, to be kept or published as a whole."""

from __future__ import annotations

import fcntl
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import WarehouseError
from pipelines.sql import literal
from pipelines.warehouse.files import (
    base_of,
    clone,
    discard,
    is_locked,
    replace_durably,
    rewrite,
    scratch_of,
    sibling,
    wal_of,
)
from pipelines.warehouse.storage_errors import (
    failure_in_text,
    refuse_foreign,
    storage_failure,
    unreadable,
    unwritable,
)

if TYPE_CHECKING:
    from pipelines.warehouse.state import State

READING_MEMORY_MB = 192
"""DuckDB's memory limit while lists are read and merged; beyond it DuckDB spills. Models have a limit of their own."""
_USUAL_CHUNK_BYTES = 32_000_000
_FILE_FORMAT = "v1.2.0"
"""DuckDB release whose file format new warehouses have. Older clients cannot read it.

DuckDB's default is that of 0.10, which takes twice as long to open: distinct counts of columns are converted."""
_BLOCK_BYTES = 65_536
"""Size of a block of new warehouses; a table of few rows takes at least one.

With DuckDB's default, four times as much, the file of a small shop is three times as large and that of a shop with a
million ledger entries a fifth larger. A build takes as long with either."""
_PLAIN = re.compile(r"[\w./\\: +,=@~-]+")
"""Paths without characters that are special in SQL texts and file patterns."""
_TIMES_A_CHUNK = 8
"""Factor of memory per chunk: a merge holds a chunk of long texts several times and cannot spill a single row."""


@dataclass
class Build:
    """The working copy of a warehouse while a sync or a model build runs."""

    published: Path
    path: Path
    scratch: Path
    """A folder for load packages and spilled data, deleted when the build ends. SQL can hold its name as it is."""
    connection: duckdb.DuckDBPyConnection
    """The connection to the working copy, in UTC, shared by dlt and the models. Models that are built at once use
    cursors of it; nothing else opens the file."""
    is_rewritten: bool = False
    """Whether to rewrite the file before it is kept, so that it holds no bytes of deleted rows."""
    state: State | None = None
    """The state that this machine shares with others; the result is pushed there before readers see it."""

    def storage_failure(self, text: str) -> WarehouseError | None:
        """Return the error for a DuckDB message about the disk or the file; None for any other message."""
        return failure_in_text(self.published, base_of(self.published), self.path, text)

    def is_storage_error(self, error: Exception) -> bool:
        """Return whether an error is about the disk, the memory or the file, rather than about the rows."""
        return storage_failure(self.published, base_of(self.published), self.path, error) is not None

    def make_room(self, chunk_bytes: int) -> None:
        """Raise DuckDB's memory limit for unusually large rows, such as a name of 1 MB or a hundred thousand tags."""
        if chunk_bytes > _USUAL_CHUNK_BYTES:
            megabytes = READING_MEMORY_MB + _TIMES_A_CHUNK * chunk_bytes // 1_000_000
            self.connection.execute(f"set global memory_limit = '{megabytes}MB'")

    def note_erasure(self) -> None:
        """Note that personal data was deleted: neither this file nor any copy of it is to keep the deleted rows."""
        # Imported here, since readers load this module and no raw tables.
        from pipelines.warehouse.raw_tables import note_erasure

        self.is_rewritten = True
        note_erasure(self.connection)

    def keep(self) -> None:
        """Keep the working copy as the state that the next sync starts from, without publishing it.

        Raises:
            RivoError: another machine has written the shared state, or it cannot be written.
        """
        pending = self._close()
        self._push({"pending": pending})

    def publish(self) -> None:
        """Replace the published file by the working copy, in one step; open readers keep the file they opened.

        Raises:
            RivoError: as for `keep`.
        """
        from pipelines.warehouse.raw_tables import note_publication

        note_publication(self.connection)
        pending = self._close()
        self._push({"warehouse": pending, "pending": None})
        published = self.published
        if published.exists():
            shutil.copymode(published, pending)
        # A program that wrote and crashed may have left a log, which DuckDB would replay into the new file.
        wal_of(published).unlink(missing_ok=True)
        replace_durably(pending, published, published)
        self._delete_recent_events()

    def _close(self) -> Path:
        """Make the working copy the pending result, and return that file."""
        # Closing merges the write-ahead log into the file.
        self.connection.close()
        if self.is_rewritten:
            rewrite(self.path, self.scratch)
            self._delete_recent_events()
        pending = sibling(self.published, "pending")
        replace_durably(self.path, pending, self.published)
        return pending

    def _push(self, files: dict[str, Path | None]) -> None:
        if self.state is None:
            return
        from pipelines.warehouse.state import StateMoved

        try:
            self.state.push(self.published, files, purge=self.is_rewritten)
        except StateMoved:
            sibling(self.published, "pending").unlink(missing_ok=True)
            raise

    def _delete_recent_events(self) -> None:
        sibling(self.published, "news").unlink(missing_ok=True)


@contextmanager
def locked(published: Path) -> Iterator[None]:
    """Lock the warehouse against all other commands that write it.

    Raises:
        WarehouseError: another command holds the lock, or the lock cannot be written.
    """
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
                f"Another command is writing to {published} right now: a sync, a build, a restore or an erasure. Wait "
                "until it ends, then run this one again."
            ) from None
        yield


@contextmanager
def building(published: Path, *, is_fresh: bool = False, state: State | None = None) -> Iterator[Build]:
    """Lock the warehouse and open a working copy of its last complete state; see `Warehouse.build`."""
    build_path = sibling(published, "build")
    scratch = scratch_of(published)
    with locked(published):
        if state:
            state.pull(published)
        connection = None
        base = base_of(published)
        try:
            discard(build_path, scratch)
            scratch.mkdir()
            with _with_plain_name(scratch) as plain:
                connection = _open_copy(base, build_path, plain, is_fresh)
                yield Build(published, build_path, plain, connection, state=state)
        except (OSError, duckdb.Error) as error:
            sentence = storage_failure(published, base, build_path, error)
            if sentence is None:
                raise
            raise sentence from None
        finally:
            if connection is not None:
                connection.close()
            discard(build_path, scratch)


@contextmanager
def _with_plain_name(folder: Path) -> Iterator[Path]:
    """Give a folder that dlt can write into: it puts names into SQL, where ' ends a text and ? matches any character.

    That is `folder` itself, or for one such as `/home/o'brien/data/rivo.scratch` a folder among the temporary files.

    Raises:
        WarehouseError: temporary files have such a name as well.
    """
    if _PLAIN.fullmatch(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="rivo-") as temporary:
        plain = Path(temporary).resolve()
        if not _PLAIN.fullmatch(str(plain)):
            raise WarehouseError(
                f"Files cannot be loaded from {folder}: its name has a character that is special in SQL, and so has "
                f"that of the folder for temporary files, {plain}. Set TMPDIR to a folder with a plain name, or "
                "RIVO_WAREHOUSE to a file in one. Nothing was changed."
            )
        yield plain


def is_being_built(published: Path) -> bool:
    """Return whether a process holds the lock of the working copy right now."""
    # Taking the lock could make a sync that is just starting fail, so it is only tried if there is a working copy.
    if not sibling(published, "build").exists():
        return False
    return is_locked(published.with_suffix(".lock"))


def _open_copy(base: Path, build_path: Path, scratch: Path, is_fresh: bool) -> duckdb.DuckDBPyConnection:
    if base.exists() and not is_fresh:
        refuse_foreign(base)
        clone(base, build_path)
    try:
        if not build_path.exists():
            create_file(build_path)
        # Spills go beside the warehouse, because /tmp may be small.
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


def create_file(path: Path) -> None:
    """Create an empty database. A file keeps its format and block size, which are chosen when it is first attached."""
    with duckdb.connect() as connection:
        connection.execute(
            f"attach {literal(str(path))} as created (storage_version '{_FILE_FORMAT}', block_size {_BLOCK_BYTES})"
        )

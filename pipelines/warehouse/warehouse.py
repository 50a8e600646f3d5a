"""The warehouse of a shop: opens, builds and publishes it.

A warehouse is a DuckDB file with up to three others beside it. For a warehouse called `rivo.duckdb`:

- `rivo.duckdb`: the published file, which people read. It is only replaced as a whole, by a rename.
- `rivo.build.duckdb`: the working copy of a running sync. A sync that is killed leaves it behind; the next sync
  deletes it and starts again from the last complete state.
- `rivo.pending.duckdb`: the complete result of a sync whose blocking checks failed. Readers do not see it, but the
  next sync starts from it, so that no observation is lost.
- `rivo.news.duckdb`: the recent-events file. Sensors load events into it; the next sync deletes it.

The report page, `rivo.report.html`, is written after each publish.

After each publish to targets, `rivo.targets.json` says how it ended.

Journals, small SQLite files that no sync replaces, are beside it too: `rivo.outbox.sqlite` has what was sent to Rivo,
`rivo.webhooks.sqlite` what its webhooks delivered.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import duckdb

from pipelines.errors import NoWarehouse, SettingsError, WarehouseError
from pipelines.output_files import write_whole
from pipelines.settings import PROJECT, Settings
from pipelines.shop_settings import SCHEMAS
from pipelines.sql import literal, quoted
from pipelines.warehouse.build import Build, building, is_being_built, locked
from pipelines.warehouse.files import (
    base_of,
    is_locked,
    last_publications_path,
    report_path,
    sibling,
    wal_of,
)
from pipelines.warehouse.journals import OUTBOX, journal_path
from pipelines.warehouse.reading import reading_config, restrict
from pipelines.warehouse.storage_errors import damaged, refuse_foreign, unreadable

if TYPE_CHECKING:
    from pipelines.warehouse.state import State
    from pipelines.warehouse.state_pointer import Pointer

_KIND = re.compile(r":memory:|[A-Za-z][A-Za-z0-9+.-]+:(//)?")


@dataclass(frozen=True)
class Warehouse:
    """A warehouse. `path` is only for messages and for this package: no other package treats it as a file."""

    path: Path
    state: State | None = field(default=None, compare=False, repr=False)
    """The state that several machines share; None if there is only this one."""

    @classmethod
    def of_shop(cls, settings: Settings) -> Warehouse:
        """Return the warehouse of a shop's settings, with its state in RIVO_STATE, if that is set.

        Raises:
            SettingsError: as for `of_setting`.
        """
        warehouse = cls.of_setting(settings.warehouse)
        if not settings.state:
            return warehouse
        from pipelines.warehouse.state import State

        return replace(warehouse, state=State(settings.state, settings.shop, PROJECT))

    @classmethod
    def of_setting(cls, setting: str) -> Warehouse:
        """Return the warehouse of a RIVO_WAREHOUSE value: a path (relative to the project) or duckdb:///path.

        Raises:
            SettingsError: the value is another kind of URL, names no file, or its folder cannot be read.
        """
        kind = _KIND.match(setting)
        if kind:
            parts = urlsplit(setting)
            if not setting.startswith("duckdb:///"):
                raise SettingsError(
                    f"RIVO_WAREHOUSE: this release does not support {kind[0]} warehouses. "
                    "Use a path such as data/rivo.duckdb, or duckdb:///absolute/path.duckdb."
                )
            setting = unquote(parts.path)
        try:
            path = Path(setting).expanduser()
        except RuntimeError:
            raise SettingsError(f"RIVO_WAREHOUSE: there is no user {Path(setting).parts[0]}.") from None
        if not path.name:
            raise SettingsError(
                "RIVO_WAREHOUSE: the value names no file. Use a path such as data/rivo.duckdb."
            )
        # A symbolic link is resolved, because publishing replaces the file that it points to.
        path = (path if path.is_absolute() else PROJECT / path).resolve()
        catalog = path.name.partition(".")[0].lower()
        if catalog in SCHEMAS:
            raise SettingsError(
                f"RIVO_WAREHOUSE: a file called {path.name} cannot be queried, because DuckDB names the database after "
                f"the file, and {catalog}.x would then mean two things. Use another name, such as rivo.duckdb."
            )
        try:
            # The longest of the file names, to detect one that is too long.
            sibling(path, "pending").exists()
        except OSError as error:
            raise SettingsError(
                f"RIVO_WAREHOUSE: {path} cannot be reached ({error.strerror}). Check the path and the "
                "permissions of its folder."
            ) from None
        return cls(path)

    def __str__(self) -> str:
        """Return the name of the warehouse in messages."""
        return str(self.path)

    @property
    def exists(self) -> bool:
        """Whether the warehouse has been published."""
        return self.path.exists()

    @property
    def size_bytes(self) -> int:
        """Size of the published file in bytes; 0 if there is none."""
        return self.path.stat().st_size if self.exists else 0

    @property
    def version(self) -> object:
        """A value that differs after each publication; None if nothing has been published."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns

    @property
    def published_at(self) -> datetime | None:
        """When the published file was written, in UTC; None if nothing has been published."""
        try:
            return datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    @property
    def base(self) -> Warehouse:
        """The state that the next sync starts from: this warehouse, or a later result that was not published."""
        return Warehouse(base_of(self.path))

    @property
    def recent_events(self) -> Warehouse:
        """The small warehouse of events newer than the published ones; the next sync deletes it."""
        return Warehouse(sibling(self.path, "news"))

    def last_report(self) -> str:
        """Return the report page beside the published file; empty if there is none that can be read."""
        try:
            return report_path(self.path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def report_file(self, name: str = "") -> Path:
        """Return the file of a report page beside the published file, whether or not it exists."""
        return report_path(self.path, name)

    def write_report(self, content: bytes, name: str = "", *, readers_of: Sequence[Warehouse] = ()) -> Path:
        """Write a report page beside the published file, for the people who may read that, and return its path.

        With `readers_of`, it is for those who may read these warehouses instead.

        Raises:
            RivoError: the file cannot be written.
        """
        page = self.report_file(name)
        files = [each.path for each in readers_of or (self,)]
        write_whole(
            page,
            content,
            permissions_of=min(files, key=lambda file: (file.stat().st_mode & 0o777).bit_count()),
            advice="Check the permissions of the folder, and the space that is left.",
        )
        return page

    def journal(self, kind: str) -> Path:
        """Return the journal of a kind beside the published file, for `open_journal`; it need not exist."""
        return journal_path(self.path, kind)

    @property
    def outbox(self) -> Path:
        """The journal of actions beside the warehouse, whether or not it exists."""
        return self.journal(OUTBOX)

    @property
    def last_publications_file(self) -> Path:
        """The file beside the warehouse that says how the last publication to each target ended; it need not exist."""
        return last_publications_path(self.path)

    @property
    def publishing_lock(self) -> Path:
        """The file that a publication to targets locks; it need not exist."""
        return self.last_publications_file.with_suffix(".lock")

    @property
    def is_being_published(self) -> bool:
        """Whether a process publishes this warehouse to targets right now."""
        return self.publishing_lock.exists() and is_locked(self.publishing_lock)

    @property
    def is_being_built(self) -> bool:
        """Whether a sync or a model build is working on this warehouse right now."""
        return is_being_built(self.path)

    @property
    def has_foreign_writes(self) -> bool:
        """Whether another program is writing into the published file, or crashed while writing."""
        return wal_of(self.path).exists()

    def delete(self) -> None:
        """Delete the published file, if there is one."""
        self.path.unlink(missing_ok=True)

    def damage(self, error: duckdb.Error) -> WarehouseError | None:
        """Return the error for a damaged file, if that is what DuckDB reports; else None."""
        return damaged(self.path, str(error))

    def read(self, spill: str | None = None) -> duckdb.DuckDBPyConnection:
        """Open the published file: read-only, in UTC, and without access to other files.

        DuckDB still lets COPY overwrite the open file: a caller that runs SQL of a user must reject statements that
        write. DuckDB spills into the folder `spill`, by default beside the file.

        Raises:
            NoWarehouse: nothing has been published.
            WarehouseError: the file cannot be opened.
        """
        if not self.exists:
            raise NoWarehouse(
                f"There is no warehouse at {self} yet. Run `make sync` first: with RIVO_API_KEY it loads your shop, "
                "without it a simulated demo shop, in one to two minutes."
            )
        refuse_foreign(self.path)
        try:
            connection = duckdb.connect(str(self.path), read_only=True, config=reading_config(spill))
        except duckdb.Error as error:
            raise unreadable(self.path, error) from None
        restrict(connection)
        return connection

    def attach(self, name: str) -> duckdb.DuckDBPyConnection:
        """Open an empty database in memory to which the published file is attached, read-only, under a name.

        Unlike `read`, it can use files and servers: for our own SQL, never for that of a user. The file that is
        attached stays the same while later syncs publish.

        Raises:
            NoWarehouse: nothing has been published.
            WarehouseError: the file cannot be opened.
        """
        # Opened in the usual way first, which explains what is wrong with a file.
        self.read().close()
        connection = duckdb.connect(
            config={"autoload_known_extensions": False, "preserve_insertion_order": False}
        )
        try:
            connection.execute("set global TimeZone = 'UTC'")
            connection.execute(f"attach {literal(str(self.path))} as {quoted(name)} (read_only)")
        except duckdb.Error as error:
            connection.close()
            raise unreadable(self.path, error) from None
        return connection

    def build(self, *, is_fresh: bool = False) -> AbstractContextManager[Build]:
        """Open a working copy of the last complete state, under a lock.

        An error deletes it. A killed process leaves it, and the next build deletes it.

        A fresh working copy is empty, whatever the warehouse holds. The caller ends with `Build.publish` or
        `Build.keep`.

        Raises:
            WarehouseError: another sync holds the lock, the folder cannot be written, or the file is not a DuckDB
                database that this release can open.
        """
        return building(self.path, is_fresh=is_fresh, state=self.state)

    def pull(self, *, holds_outbox: bool = False) -> None:
        """Bring the files of this machine up to date with the shared state, if there is one.

        Args:
            holds_outbox: whether the caller holds the lock of the outbox.

        Raises:
            RivoError: another command writes the warehouse, or the state cannot be read.
        """
        if self.state:
            with locked(self.path):
                self.state.pull(self.path, holds_outbox=holds_outbox)

    def newest_state(self) -> tuple[Pointer | None, bool]:
        """Return the newest shared state, and whether this machine has it; None and False if there is none.

        Raises:
            RivoError: it cannot be read.
        """
        return self.state.look(self.path) if self.state else (None, False)

    def push_last_publications(self) -> None:
        """Store in the shared state how publications to targets ended, if there is one.

        Raises:
            RivoError: it cannot be written.
        """
        if not self.state:
            return
        from pipelines.warehouse.state import TARGETS, StateMoved

        # If another machine has written the state in the meantime, what it knows of the targets is newer.
        with suppress(StateMoved):
            self.state.push(self.path, {}, small=(TARGETS,))

    def target_scratch(self, name: str) -> Path:
        """Return the folder beside the warehouse for files on their way to a target; it need not exist."""
        return self.path.with_name(f".{self.path.stem}.target-{name}")

    def delete_target_scratch(self) -> None:
        """Delete what publications that were killed have left beside the warehouse: it may have rows of people."""
        for folder in self.path.parent.glob(f".{escape(self.path.stem)}.target-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def push_outbox(self) -> None:
        """Store the outbox of actions in the shared state, if there is one and the outbox has changed.

        Raises:
            RivoError: another machine has written the state since it was pulled, or it cannot be written.
        """
        if self.state:
            self.state.push(self.path, {}, small=(OUTBOX,))

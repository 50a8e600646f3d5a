"""A shop's warehouse: where it is, and how it is opened, built and published.

It is a DuckDB file, with up to three others beside it. For a warehouse called `rivo.duckdb`:

- `rivo.duckdb`, published: what people read; only ever replaced whole, by a rename.
- `rivo.build.duckdb`: the copy that a running sync works in. A sync that is killed leaves it behind; the next one
  deletes it and starts again from the last complete state.
- `rivo.pending.duckdb`: the complete result of a sync whose blocking checks failed. Readers do not see it, but the
  next sync starts from it, so that no observation is lost.
- `rivo.news.duckdb`: recent events, loaded by sensors since the last sync; deleted by the next one.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb

from pipelines.errors import NoWarehouse, SettingsError, WarehouseError
from pipelines.settings import PROJECT
from pipelines.warehouse.build import Build, building, is_being_built
from pipelines.warehouse.files import sibling, wal_of
from pipelines.warehouse.storage_errors import damaged, refuse_foreign, unreadable

_KIND = re.compile(r":memory:|[A-Za-z][A-Za-z0-9+.-]+:(//)?")


@dataclass(frozen=True)
class Warehouse:
    """One warehouse. `path` is for messages and for `pipelines.warehouse`: elsewhere it is not known to be a file."""

    path: Path

    @classmethod
    def of_setting(cls, setting: str) -> Warehouse:
        """Return the warehouse that a RIVO_WAREHOUSE value names: a path (from the project) or duckdb:///path.

        Raises:
            SettingsError: it is any other kind of URL, names no file, or lies in a folder that cannot be read.
        """
        kind = _KIND.match(setting)
        if kind:
            parts = urlsplit(setting)
            if not setting.startswith("duckdb:///"):
                raise SettingsError(
                    f"RIVO_WAREHOUSE: {kind[0]} is not a kind of warehouse that this release supports. "
                    "Use a path such as data/rivo.duckdb, or duckdb:///absolute/path.duckdb."
                )
            setting = unquote(parts.path)
        try:
            path = Path(setting).expanduser()
        except RuntimeError:
            raise SettingsError(f"RIVO_WAREHOUSE: there is no user {Path(setting).parts[0]}.") from None
        if not path.name:
            raise SettingsError("RIVO_WAREHOUSE: this names no file. Use a path such as data/rivo.duckdb.")
        # A symbolic link is followed, since the file that it points to is the one to replace.
        path = (path if path.is_absolute() else PROJECT / path).resolve()
        try:
            # The longest name that will be asked for.
            sibling(path, "pending").exists()
        except OSError as error:
            raise SettingsError(f"RIVO_WAREHOUSE: {path} cannot be reached ({error.strerror}).") from None
        return cls(path)

    def __str__(self) -> str:
        """Return how messages name it."""
        return str(self.path)

    @property
    def exists(self) -> bool:
        """Whether something has been published."""
        return self.path.exists()

    @property
    def size_bytes(self) -> int:
        """Size of what is published; 0 where nothing is."""
        return self.path.stat().st_size if self.exists else 0

    @property
    def base(self) -> Warehouse:
        """What the next sync starts from: this warehouse, or a later result that was not published."""
        pending = Warehouse(sibling(self.path, "pending"))
        return pending if pending.exists else self

    @property
    def recent_events(self) -> Warehouse:
        """The small warehouse of rows newer than what is published; the next sync deletes it."""
        return Warehouse(sibling(self.path, "news"))

    @property
    def is_being_built(self) -> bool:
        """Whether a sync or a model build works on this warehouse right now."""
        return is_being_built(self.path)

    @property
    def has_foreign_writes(self) -> bool:
        """Whether another program writes into the published file, or did so when it died."""
        return wal_of(self.path).exists()

    def delete(self) -> None:
        """Delete what is published, if there is anything."""
        self.path.unlink(missing_ok=True)

    def damage(self, error: duckdb.Error) -> WarehouseError | None:
        """Return what to do about a damaged file, where that is what DuckDB reports; else None."""
        return damaged(self.path, str(error))

    def read(self, spill: str | None = None) -> duckdb.DuckDBPyConnection:
        """Open what is published: read-only, in UTC, and with no way to other files.

        DuckDB itself still lets COPY overwrite the open file: a caller that takes SQL from outside must let only
        statements through that read. What does not fit into memory goes to the folder `spill`, by default beside
        the file.

        Raises:
            NoWarehouse: it is not there.
            WarehouseError: it cannot be opened.
        """
        if not self.exists:
            raise NoWarehouse(
                f"There is no warehouse at {self} yet. Run `make sync` first: with RIVO_API_KEY it loads your shop, "
                "without a key a demo with a simulated one, in one to two minutes."
            )
        refuse_foreign(self.path)
        config: dict[str, Any] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # Otherwise the name of a variable of this program would pass for a table.
            "python_enable_replacements": False,
        }
        if spill:
            config["temp_directory"] = spill
        try:
            connection = duckdb.connect(str(self.path), read_only=True, config=config)
        except duckdb.Error as error:
            raise unreadable(self.path, error) from None
        connection.execute("set global TimeZone = 'UTC'")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        return connection

    def build(self, *, is_fresh: bool = False) -> AbstractContextManager[Build]:
        """Open a working copy of the last complete state, under a lock.

        An error deletes it. A killed process leaves it, and the next build deletes it.

        A fresh working copy is empty, whatever the warehouse holds. The caller ends with `Build.publish` or
        `Build.keep`.

        Raises:
            WarehouseError: another sync holds the warehouse, the folder cannot be written, or the file is no
                DuckDB database that this release can open.
        """
        return building(self, is_fresh=is_fresh)

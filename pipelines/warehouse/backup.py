"""Backup and restore of `rivo_raw`: what Rivo does not give a second time (histories, first-seen times, the log).

A backup is one folder: a Parquet file a table, and `manifest.json`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from pipelines.errors import NoWarehouse, RivoError, WarehouseError
from pipelines.sql import literal, quoted, scalar
from pipelines.warehouse.build import Build
from pipelines.warehouse.files import sync_to_disk
from pipelines.warehouse.raw_tables import RAW, existing_columns
from pipelines.warehouse.storage_errors import first_line, refuse_foreign, unreadable
from pipelines.warehouse.warehouse import Warehouse

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Backup:
    """What a backup holds; `rows` by table, `observed_at` the time of its data (ISO 8601), None for no sync."""

    folder: Path
    release: str
    made_at: str
    shop: str
    observed_at: str | None
    tables: dict[str, dict[str, Any]]

    @property
    def rows(self) -> int:
        """Rows of all tables together."""
        return sum(int(table["rows"]) for table in self.tables.values())


def backup(warehouse: Warehouse, shop: str, folder: Path) -> Backup:
    """Write every table of `rivo_raw` into a new folder: as the next sync would find it, whole or not at all.

    It reads a file that is complete, so that no sync waits for it.

    Raises:
        NoWarehouse: there is nothing to back up.
        RivoError: the folder holds something, or cannot be written.
    """
    _refuse_filled(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.unfinished-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from None
    try:
        with _open(warehouse) as connection:
            names = _tables(connection)
            if "sync_log" not in names:
                raise NoWarehouse(
                    f"Nothing was ever synced into {warehouse}, so there is nothing to back up."
                )
            tables = {name: _export(connection, name, unfinished) for name in names}
            observed_at = scalar(connection, f"select max(observed_at) from {RAW}.sync_log where complete")
        made = Backup(
            folder,
            version("rivo-warehouse"),
            datetime.now(UTC).isoformat(timespec="seconds"),
            shop,
            observed_at and observed_at.astimezone(UTC).isoformat(),
            tables,
        )
        _write_manifest(made, unfinished)
        unfinished.chmod(0o700)
        _refuse_filled(folder)
        unfinished.rename(folder)
        sync_to_disk(folder.parent)
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from None
    except duckdb.Error as error:
        if found := warehouse.base.damage(error):
            raise found from None
        raise _unwritable(folder, first_line(str(error))) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return made


def read_backup(folder: Path) -> Backup:
    """Look a backup through: every file is there, with the bytes that were written.

    Raises:
        RivoError: it is no backup, of a later release's kind, or damaged.
    """
    try:
        found = json.loads((folder / MANIFEST).read_text())
        if found["format"] != FORMAT:
            raise RivoError(
                f"{folder} was made by release {found.get('release')} in a form that this release does not know. "
                "Restore it with that release or a later one."
            )
        made = Backup(
            folder,
            **{name: found[name] for name in ("release", "made_at", "shop", "observed_at", "tables")},
        )
        damaged = [
            name
            for name, table in made.tables.items()
            if Path(table["file"]).name != table["file"]
            or _checksum(folder / table["file"]) != table["sha256"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RivoError(
            f"{folder} is no whole backup: {MANIFEST} or a file that it names cannot be read ({error}). "
            "Nothing was changed."
        ) from None
    if damaged:
        raise RivoError(
            f"{folder} is damaged: {', '.join(damaged)} differ from what was written. Take another backup. "
            "Nothing was changed."
        )
    return made


def refuse_to_replace(warehouse: Warehouse) -> None:
    """Raise WarehouseError where a warehouse holds something that a restore would replace."""
    for present in {warehouse, warehouse.base}:
        if not present.exists:
            continue
        try:
            with duckdb.connect(str(present.path), read_only=True) as connection:
                rows = scalar(connection, f"select count(*) from {RAW}.sync_log")
        except duckdb.CatalogException:
            rows = 0
        except duckdb.Error:
            rows = -1
        if rows:
            what = f"a log of {rows:,} list reads" if rows > 0 else "something that cannot be opened"
            raise WarehouseError(
                f"{warehouse} already holds {what}. A restore would replace it: what it holds and the backup does not "
                "would be lost. If that is what you want, back it up and add --replace. Nothing was changed."
            )


def load_backup(build: Build, made: Backup) -> list[str]:
    """Fill the raw tables of a fresh working copy from a backup.

    A column that the backup lacks is null; one that this release does not declare is added, like an attribute
    that Rivo added.

    Returns:
        sentences on where the backup and this release differ.

    Raises:
        RivoError: a column's values do not fit into the type that it has in this release.
    """
    said: list[str] = []
    connection = build.connection
    for name, table in made.tables.items():
        present = existing_columns(connection).get(name)
        held: dict[str, str] = table["columns"]
        if present is None:
            columns = ", ".join(f"{quoted(column)} {kind}" for column, kind in held.items())
            connection.execute(f"create table {RAW}.{quoted(name)} ({columns})")
            said.append(f"{name} is a table that this release does not know; it was restored as it was.")
        else:
            for column in held.keys() - present.keys():
                connection.execute(
                    f"alter table {RAW}.{quoted(name)} add column {quoted(column)} {held[column]}"
                )
            missing = sorted(present.keys() - held.keys())
            if missing:
                said.append(
                    f"{name}: the backup has no {', '.join(missing)}; null until the next complete read."
                )
        connection.execute(f"delete from {RAW}.{quoted(name)}")
        try:
            connection.execute(
                f"insert into {RAW}.{quoted(name)} by name select * from read_parquet(?)",
                [str(made.folder / table["file"])],
            )
        except (duckdb.ConversionException, duckdb.ConstraintException, duckdb.BinderException) as error:
            raise RivoError(
                f"The table {name} of {made.folder} does not fit into this release ({str(error).splitlines()[0]}). "
                f"Restore it with release {made.release}, sync once, then upgrade. Nothing was changed."
            ) from None
        rows = scalar(connection, f"select count(*) from {RAW}.{quoted(name)}")
        if rows != table["rows"]:
            raise RivoError(
                f"{name} of {made.folder} has {rows:,} rows where its manifest promises {table['rows']:,}. "
                "Nothing was changed."
            )
    return said


def _refuse_filled(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RivoError(f"{folder} is there already and not empty. Name a new folder. Nothing was written.")


def _unwritable(folder: Path, reason: str) -> RivoError:
    return RivoError(
        f"The backup {folder} cannot be written ({reason}). Check the folder's permissions and the space on its disk. "
        "Nothing was left there."
    )


@contextmanager
def _open(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    for attempt in range(3):
        path = warehouse.base.path
        if not path.exists():
            raise NoWarehouse(f"There is no warehouse at {warehouse} yet, so there is nothing to back up.")
        try:
            refuse_foreign(path)
            connection = duckdb.connect(str(path), read_only=True, config={"memory_limit": "512MB"})
            break
        except (WarehouseError, duckdb.Error) as error:
            # A result that waited may be published between the look and the opening.
            if attempt == 2 or path.exists():
                raise error if isinstance(error, WarehouseError) else unreadable(path, error) from None
    with connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return sorted(name for name in existing_columns(connection) if not name.startswith("_dlt"))


def _export(connection: duckdb.DuckDBPyConnection, name: str, folder: Path) -> dict[str, Any]:
    file = folder / f"{name}.parquet"
    row = connection.execute(
        f"copy {RAW}.{quoted(name)} to {literal(str(file))} (format parquet, compression zstd)"
    ).fetchone()
    sync_to_disk(file)
    return {
        "file": file.name,
        "rows": row[0] if row else 0,
        "sha256": _checksum(file),
        "columns": existing_columns(connection)[name],
    }


def _write_manifest(made: Backup, folder: Path) -> None:
    content = {
        "format": FORMAT,
        "release": made.release,
        "duckdb": duckdb.__version__,
        "made_at": made.made_at,
        "shop": made.shop,
        "observed_at": made.observed_at,
        "tables": made.tables,
    }
    path = folder / MANIFEST
    path.write_text(json.dumps(content, indent=2) + "\n")
    sync_to_disk(path)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

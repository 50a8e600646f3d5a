"""Backup and restore of `rivo_raw`, whose histories, first-seen times and log cannot be read from Rivo again.

A backup is a folder with one Parquet file per table, a copy of the outbox of actions if there is one, and
`manifest.json`.
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
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.sql import literal, quoted, scalar
from pipelines.warehouse.build import Build
from pipelines.warehouse.files import sync_to_disk
from pipelines.warehouse.journals import copy_journal
from pipelines.warehouse.raw_tables import RAW, columns_of_table, existing_columns, number_log
from pipelines.warehouse.storage_errors import first_line, refuse_foreign, unreadable
from pipelines.warehouse.warehouse import Warehouse

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Backup:
    """The manifest of a backup; `observed_at` is the observation time of its data (ISO 8601), None before any sync."""

    folder: Path
    release: str
    made_at: str
    shop: str
    observed_at: str | None
    tables: dict[str, dict[str, Any]]
    outbox: dict[str, str] | None = None
    """File and checksum of the outbox of actions; None without one."""

    @property
    def rows(self) -> int:
        """Number of rows in all tables."""
        return sum(int(table["rows"]) for table in self.tables.values())


def backup(warehouse: Warehouse, shop: str, folder: Path) -> Backup:
    """Write every table of `rivo_raw`, in the state that the next sync starts from, into a new folder.

    The folder appears when it is complete. The backup neither delays a running sync nor waits for it.

    Raises:
        NoWarehouse: there is nothing to back up.
        RivoError: the folder is not empty, or cannot be written.
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
                    f"Nothing was ever synced into {warehouse}, so there is nothing to back up. Check RIVO_WAREHOUSE."
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
            _copy_outbox(warehouse, unfinished),
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
    """Read the manifest of a backup, and check that every file has the content that was written.

    Raises:
        RivoError: the folder is not a backup, or one in a format of a later release, or damaged.
    """
    try:
        found = json.loads((folder / MANIFEST).read_text())
        if found["format"] != FORMAT:
            raise RivoError(
                f"{folder} was made by release {found.get('release')} in a format that this release cannot read. "
                "Restore it with that release or a later one. Nothing was changed."
            )
        made = Backup(
            folder,
            **{name: found[name] for name in ("release", "made_at", "shop", "observed_at", "tables")},
            # Backups of older releases have none.
            outbox=found.get("outbox"),
        )
        files = {**made.tables, **({"the outbox": made.outbox} if made.outbox else {})}
        damaged = [
            name
            for name, table in files.items()
            if Path(table["file"]).name != table["file"]
            or _checksum(folder / table["file"]) != table["sha256"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RivoError(
            f"{folder} is not a complete backup: {MANIFEST} or a file listed in it cannot be read ({error}). Check the "
            "folder, or use another backup. Nothing was changed."
        ) from None
    if damaged:
        raise RivoError(
            f"{folder} is damaged: the content of {', '.join(damaged)} differs from what was written. Use another "
            "backup. Nothing was changed."
        )
    return made


def refuse_to_replace(warehouse: Warehouse) -> None:
    """Check that a warehouse is empty, so that a restore replaces nothing.

    Raises:
        WarehouseError: it has a log of syncs, or cannot be opened.
    """
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
            what = (
                f"already holds the log of {rows:,} list reads"
                if rows > 0
                else "is not empty, and cannot be opened"
            )
            raise WarehouseError(
                f"{warehouse} {what}. A restore would replace it, and lose all data that the backup does not hold. "
                "To replace it, back it up first and add --replace. Nothing was changed."
            )


def load_backup(build: Build, made: Backup) -> list[str]:
    """Fill the raw tables of a fresh working copy from a backup.

    A column that is missing from the backup is null; one that this release does not declare is added, like an attribute
    that Rivo added.

    Returns:
        a sentence for each difference between the backup and this release.

    Raises:
        RivoError: the values of a column cannot be converted to its type in this release, or rows are missing.
    """
    notes: list[str] = []
    connection = build.connection
    existing = existing_columns(connection)
    for name, table in made.tables.items():
        present = existing.get(name)
        held: dict[str, str] = table["columns"]
        if present is None:
            columns = ", ".join(f"{quoted(column)} {kind}" for column, kind in held.items())
            connection.execute(f"create table {RAW}.{quoted(name)} ({columns})")
            notes.append(f"{name}: this release does not know this table; it was restored unchanged.")
        else:
            for column in held.keys() - present.keys():
                connection.execute(
                    f"alter table {RAW}.{quoted(name)} add column {quoted(column)} {held[column]}"
                )
            if missing := sorted(present.keys() - held.keys() - {"log_position"}):
                notes.append(_missing_columns(name, missing))
        connection.execute(f"delete from {RAW}.{quoted(name)}")
        try:
            connection.execute(
                f"insert into {RAW}.{quoted(name)} by name select * from read_parquet(?)",
                [str(made.folder / table["file"])],
            )
        except (duckdb.ConversionException, duckdb.ConstraintException, duckdb.BinderException) as error:
            raise RivoError(
                f"The table {name} of {made.folder} cannot be converted to this release ({first_line(str(error))}). "
                f"Restore the backup with release {made.release}, sync once, then upgrade. Nothing was changed."
            ) from None
        rows = scalar(connection, f"select count(*) from {RAW}.{quoted(name)}")
        if rows != table["rows"]:
            raise RivoError(
                f"The table {name} of {made.folder} has {rows:,} rows, but {MANIFEST} lists {table['rows']:,}. Use "
                "another backup. Nothing was changed."
            )
    number_log(connection)
    return notes


def restore_outbox(made: Backup, warehouse: Warehouse) -> bool:
    """Copy the outbox of a backup beside a warehouse that has none; a present one knows more and stays.

    Returns:
        Whether it was copied.

    Raises:
        WarehouseError: the copy cannot be written.
    """
    if made.outbox is None or warehouse.outbox.exists():
        return False
    copy_journal(made.folder / made.outbox["file"], warehouse.outbox)
    return True


def _copy_outbox(warehouse: Warehouse, folder: Path) -> dict[str, str] | None:
    if not warehouse.outbox.exists():
        return None
    file = folder / "outbox.sqlite"
    copy_journal(warehouse.outbox, file)
    sync_to_disk(file)
    return {"file": file.name, "sha256": _checksum(file)}


def _missing_columns(table: str, columns: list[str]) -> str:
    what, verb = ("column", "it is") if len(columns) == 1 else ("columns", "they are")
    until = "until the next complete read" if table in ENDPOINTS else "in the restored rows"
    return f"{table}: the backup has no {what} {', '.join(columns)}; {verb} null {until}."


def _refuse_filled(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RivoError(
            f"{folder} already exists and is not empty. Choose a new folder. Nothing was written."
        )


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
            # A pending result may be published, and so renamed, before it is opened.
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
        "columns": columns_of_table(connection, name),
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
        "outbox": made.outbox,
    }
    path = folder / MANIFEST
    path.write_text(json.dumps(content, indent=2) + "\n")
    sync_to_disk(path)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

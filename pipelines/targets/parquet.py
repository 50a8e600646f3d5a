"""A target in Parquet files, in a folder or in S3.

Each publication has a folder of its own, whose files never change. Then `current.json` is replaced by one that lists
the files of all tables, if no other process has replaced it in the meantime. Readers that have read it can finish with
the files that it lists: those are deleted a week after a publication that does not list them any more.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.errors import command
from pipelines.objects import Objects, ObjectsError, PointerMoved, Stored, open_objects
from pipelines.settings import PROJECT
from pipelines.sql import quoted
from pipelines.target_settings import TargetSetting
from pipelines.targets.content import Content, Table
from pipelines.targets.marks import (
    COLUMNS,
    DESCRIPTION,
    SCHEMA,
    TABLE,
    Mark,
    TargetError,
    check_marks,
    marks_of,
    refuse_unmarked,
)
from pipelines.targets.parquet_files import (
    WHOLE,
    descriptions,
    folder_of,
    parts_of,
    with_files,
    write_part,
    write_rows,
)
from pipelines.targets.parquet_pointer import POINTER, Part, Pointer, Retired, StoredTable, decoded
from pipelines.targets.publication import Publication

KEEP = timedelta(days=7)
"""How long files stay that the newest publication does not list, for readers that began with an older one."""
_FOLDER = "publications/"
_OURS = re.compile(r"publications/\d{8}T\d{6}Z-[0-9a-f]{12}/")
"""How the keys of publications begin, also of one that was killed before the first `current.json`."""


def look(content: Content, target: TargetSetting) -> list[Mark]:
    """Return the mark of the place, and write nothing.

    Raises:
        TargetError: the place cannot be used, or holds something that must not be replaced.
    """
    with _opened(content, target) as publisher:
        pointer, _ = publisher.read()
        return pointer.marks if pointer else []


def publish(content: Content, target: TargetSetting, *, replace_all: bool, purge: bool) -> Publication:
    """Write the tables that have changed, then point `current.json` to all of them.

    With `purge`, the files that it does not list are deleted at once.

    Raises:
        TargetError: the place cannot be used, or holds something that must not be replaced.
    """
    with _opened(content, target) as publisher:
        return publisher.publish(replace_all=replace_all, purge=purge)


@contextmanager
def _opened(content: Content, target: TargetSetting) -> Iterator[_Publisher]:
    try:
        objects = open_objects(target.url, target.variable, PROJECT).under(content.shop)
        yield _Publisher(content, target, objects)
    except ObjectsError as error:
        raise TargetError(
            f"{target.variable}: {error} It keeps what it has. Then run `{command()} publish {target.name}`."
        ) from None


@dataclass
class _Publisher:
    """A publication to one place."""

    content: Content
    target: TargetSetting
    objects: Objects
    new: list[str] = field(default_factory=list)
    """Keys of the files that were put."""
    written: int = 0
    rows: int = 0

    def publish(self, *, replace_all: bool, purge: bool) -> Publication:
        before, version = self.read()
        if before:
            check_marks(before.marks, self.content, self.target, replace=replace_all)
        name = f"{self.content.observed_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(6)}"
        with _scratch(self.content, self.target) as scratch:
            tables = self._write(f"{_FOLDER}{name}", before, scratch)
        now = datetime.now(UTC)
        gone = (
            tuple(sorted(before.files - {file for table in tables for file in table.files})) if before else ()
        )
        kept = [each for each in (before.retired if before else ()) if now - each.since < KEEP]
        pointer = Pointer(
            name,
            self.objects.url,
            self.content.shop,
            self.content.warehouse_id,
            self.content.observed_at,
            self.content.published_at,
            tables,
            () if purge else (*kept, *([Retired(now, gone)] if gone else [])),
        )
        # Before the pointer is written: files of a publication that begins afterwards must not be among them.
        present = list(self.objects.list(_FOLDER))
        try:
            self.objects.write(POINTER, pointer.encoded(), version)
        except PointerMoved:
            # A later publication deletes them if they cannot be deleted now.
            with suppress(ObjectsError):
                self.objects.delete(self.new)
            raise TargetError(
                f"{self.target.variable}: another process has published to it at the same time. It has that "
                f"publication. If it is older than this warehouse, run `{command()} publish {self.target.name}`."
            ) from None
        notes = self._collect(present, pointer, purge=purge)
        unchanged = len(tables) - 1 - self.written
        return Publication(
            self.target.name, self.content.observed_at, self.written, unchanged, self.rows, notes=notes
        )

    def read(self) -> tuple[Pointer | None, str | None]:
        """Return what `current.json` says and its version; None for both for a place that is empty."""
        found = self.objects.read(POINTER)
        if found is None:
            foreign = next((each.key for each in self.objects.list() if not _OURS.match(each.key)), None)
            if foreign:
                raise refuse_unmarked(self.target, f"there is {self.objects.url}/{foreign}, but no {POINTER}")
            return None, None
        pointer = decoded(found[0], self.target.variable)
        if pointer.shop != self.content.shop:
            raise TargetError(
                f"{self.target.variable} holds the data of {pointer.shop or 'a shop without a name'} at "
                f"{self.objects.url}. Nothing was published to it. Choose another place."
            )
        return pointer, found[1]

    def _write(self, folder: str, before: Pointer | None, scratch: Path) -> tuple[StoredTable, ...]:
        """Put the parts that have changed; return all tables, the mark last."""
        known = {(table.schema, table.name): table for table in before.tables} if before else {}
        tables: list[StoredTable] = []
        published = [table for table in self.content.tables if table.view is None]
        folders = [folder_of(table) for table in published]
        if twice := {name for name in folders if folders.count(name) > 1}:
            raise TargetError(
                f"{self.target.variable}: two tables would have the folder {min(twice)}. Rename one of the models."
            )
        for table in published:
            old = known.get((table.schema, table.name))
            if old and old.fingerprint == table.fingerprint:
                tables.append(old)
                continue
            self.written += 1
            parts = self._write_table(table, old, f"{folder}/{folder_of(table)}", scratch)
            tables.append(StoredTable(table.schema, table.name, table.rows, table.fingerprint, tuple(parts)))
        tables.append(self._write_mark(folder, scratch))
        return tuple(tables)

    def _write_table(
        self, table: Table, old: StoredTable | None, folder: str, scratch: Path
    ) -> Iterator[Part]:
        known = {(part.name, part.fingerprint): part for part in old.parts} if old else {}
        for part in parts_of(self.content.connection, table):
            if same := known.get((part.name, part.fingerprint)):
                yield same
                continue
            self.rows += part.rows
            files = []
            with _emptied(scratch):
                for name, file in write_part(self.content.connection, table, part, scratch):
                    self._put(file, f"{folder}/{name}")
                    files.append(f"{folder}/{name}")
            yield with_files(part, files)

    def _write_mark(self, folder: str, scratch: Path) -> StoredTable:
        """Put `rivo_meta.published`, the table of tables."""
        connection = self.content.connection
        labels = [table.relation for table in self.content.tables]
        views = {table.relation for table in self.content.tables if table.view is not None}
        marks = [mark for mark in marks_of(self.content, labels) if mark.table not in views]
        columns = ", ".join(f"{quoted(name)} {kind}" for name, (kind, _) in COLUMNS.items())
        places = ", ".join("?" for _ in COLUMNS)
        key = f"{folder}/{SCHEMA}/{TABLE}/{WHOLE}-001.parquet"
        with _emptied(scratch):
            connection.execute(f"create or replace temp table rivo_published ({columns})")
            for mark in marks:
                connection.execute(f"insert into rivo_published values ({places})", mark.values)
            described = {name: text for name, (_, text) in COLUMNS.items()}
            rows = descriptions(f"{SCHEMA}.{TABLE}", DESCRIPTION, described)
            write_rows(connection, "rivo_published", scratch / "rows", rows)
            connection.execute("drop table rivo_published")
            [file] = (scratch / "rows").iterdir()
            self._put(file, key)
        part = Part(WHOLE, len(marks), "", (key,))
        return StoredTable(SCHEMA, TABLE, len(marks), "", (part,))

    def _put(self, file: Path, key: str) -> None:
        self.objects.put(file, key)
        self.new.append(key)

    def _collect(self, present: list[Stored], pointer: Pointer, *, purge: bool) -> tuple[str, ...]:
        """Delete files that no reader needs any more; return a sentence if that failed.

        Raises:
            TargetError: files are left of data that has to be purged.
        """
        needed = pointer.files | {file for each in pointer.retired for file in each.files}
        youngest = timedelta() if purge else KEEP
        try:
            self.objects.delete(
                [found.key for found in present if found.key not in needed and found.age >= youngest]
            )
            self.objects.discard_unfinished(youngest)
        except ObjectsError as error:
            if purge:
                raise TargetError(
                    f"{self.target.variable} has the new publication, but files of older ones, which still have the "
                    f"erased data, could not be deleted: {error} Then run "
                    f"`{command()} publish {self.target.name} --purge`."
                ) from None
            return (f"{self.target.variable}: old files could not be deleted: {error}",)
        return ()


@contextmanager
def _scratch(content: Content, target: TargetSetting) -> Iterator[Path]:
    """Give an empty folder on the disk of the warehouse, which has room for files of the warehouse's size."""
    # One process at a time publishes a warehouse, so a folder that is there is that of a killed one.
    folder = content.warehouse.target_scratch(target.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _emptied(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(folder / "rows", ignore_errors=True)

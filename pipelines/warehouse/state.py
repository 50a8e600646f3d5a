"""The state of a warehouse in shared storage (RIVO_STATE), so that each run can be on another machine.

The state is everything that cannot be read from Rivo again: the warehouse, a result that is not published yet, the
outbox of actions, the deliveries of webhooks, and which targets got a copy. Its files are objects that never change;
`current.json` points to them. A run pulls them if the pointer is not the one that this machine has noted, and pushes
its result before anyone sees it: new objects first, then the pointer, which is written only if no other machine has
moved it. So of two machines at once one wins; a killed process leaves the old state or the new one.
"""

from __future__ import annotations

import fcntl
import hashlib
import secrets
import shutil
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from pipelines.errors import WarehouseError
from pipelines.objects import NoObject, Objects, ObjectsError, PointerMoved, Stored, open_objects
from pipelines.warehouse.files import (
    last_publications_path,
    replace_durably,
    sibling,
    sync_to_disk,
    wal_of,
)
from pipelines.warehouse.journals import OUTBOX, WEBHOOKS, copy_journal, journal_path, sole_use
from pipelines.warehouse.state_journals import merge_deliveries, overwrite_journal
from pipelines.warehouse.state_pointer import (
    POINTER,
    Note,
    Part,
    Pointer,
    decoded,
    note_path,
    read_note,
    write_note,
)
from pipelines.warehouse.storage_errors import unwritable

WAREHOUSE = "warehouse"
PENDING = "pending"
TARGETS = "targets"
_SMALL = (OUTBOX, WEBHOOKS, TARGETS)
"""Files that other commands than builds write, too; a push stores those that have changed."""
KEPT = 7
"""Number of earlier states that are kept."""
_FOLDER = "warehouse-states/"
"""Prefix of all objects but the pointer. A shop's name cannot have a hyphen, so no shop's prefix is this one."""
_ORPHAN_AGE = timedelta(days=1)
"""Age from which objects are deleted that no state refers to: younger ones may belong to a push that is running."""


class StateMoved(WarehouseError):
    """Another machine has written the state since this one pulled it."""


@dataclass(frozen=True)
class State:
    """Where the state of a shop is."""

    setting: str
    """The value of RIVO_STATE."""
    shop: str
    base: Path
    """The folder at which a relative path starts."""

    @cached_property
    def objects(self) -> Objects:
        """The storage."""
        return open_objects(self.setting, "RIVO_STATE", self.base).under(self.shop)

    def look(self, published: Path) -> tuple[Pointer | None, bool]:
        """Return the newest state, and whether it is the one that this machine has.

        Raises:
            RivoError: it cannot be read.
        """
        found = self._read()
        note = read_note(published, self.objects.url)
        return (found[0] if found else None), bool(found and note and note.version == found[0].version)

    def pull(self, published: Path, *, holds_outbox: bool = False) -> None:
        """Replace the files of this machine by those of the newest state, if that is not the one that it has.

        The caller holds the lock of the working copy, and with `holds_outbox` that of the outbox.

        Raises:
            RivoError: the state cannot be read, is of another shop or damaged, or would replace files that were never
                part of it.
        """
        with _storage_errors(published), self._locked(published):
            # A killed pull can have left files of which a person was erased since.
            shutil.rmtree(_beside(published, "pull"), ignore_errors=True)
            found = self._read()
            note = read_note(published, self.objects.url)
            self._check(published, found[0] if found else None, note)
            if found is None or (note and self._is_here(published, found[0], note)):
                return
            if holds_outbox:
                self._download(published, found[0], note)
                return
            busy = f"Another command is applying actions to {published}. Wait until it ends, then run this one again."
            with sole_use(journal_path(published, OUTBOX), busy):
                self._download(published, found[0], note)

    def push(
        self,
        published: Path,
        files: Mapping[str, Path | None],
        *,
        small: Collection[str] = _SMALL,
        purge: bool = False,
    ) -> None:
        """Store files as a new state, and move the pointer to it.

        Args:
            published: the published file of the warehouse.
            files: new files by name, None for one that there is no longer; all others stay as they are.
            small: the small files that may have changed: outbox, webhooks, targets.
            purge: delete the objects of all earlier states at once, since a person was erased.

        Raises:
            StateMoved: another machine has moved the pointer. Nothing of this push is left.
            RivoError: the objects cannot be written, or those of earlier states cannot be deleted.
        """
        with _storage_errors(published):
            uploaded: dict[str, Part] = {}
            try:
                base, pointer, present = self._push(published, files, small, uploaded, purge=purge)
            except (PointerMoved, StateMoved) as error:
                # A later push deletes them if they cannot be deleted now.
                with suppress(ObjectsError):
                    self.objects.delete(part.key for part in uploaded.values())
                raise (error if isinstance(error, StateMoved) else self._moved()) from None
        if files:
            self._collect(present, pointer, purge=purge or bool(base and base.has_erased))

    def _push(
        self,
        published: Path,
        files: Mapping[str, Path | None],
        small: Collection[str],
        uploaded: dict[str, Part],
        *,
        purge: bool,
    ) -> tuple[Pointer | None, Pointer, list[Stored]]:
        """Return the pointer before, the one that was written, and all objects; `uploaded` gets the new ones."""
        folder = f"{_FOLDER}{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(6)}"
        if read_note(published, self.objects.url) is None and self._base(published)[0] is None:
            local = {name: _local(published)[name] for name in (WAREHOUSE, PENDING)}
            files = {**{name: path for name, path in local.items() if path.exists()}, **files}
            small = _SMALL
        elif files:
            # Before a large file is uploaded in vain.
            self._base(published)
        for name, file in files.items():
            if file:
                uploaded[name] = self._put(file, f"{folder}/{name}")
        with self._locked(published), _folder_beside(published, "push") as copies:
            # Again, since another command of this machine may have pushed a journal.
            base, version = self._base(published)
            for kind in small:
                path = _local(published)[kind]
                if not path.exists():
                    continue
                (shutil.copyfile if kind == TARGETS else copy_journal)(path, copies / kind)
                if base is None or not _equals(copies / kind, base.parts.get(kind)):
                    uploaded[kind] = self._put(copies / kind, f"{folder}/{kind}")
            if base and not files and not uploaded:
                return base, base, []
            gone = {name for name, file in files.items() if file is None}
            pointer = self._next(base, uploaded, gone, purge=purge)
            # Before the pointer is written: objects of a push that begins afterwards must not be among them.
            present = list(self.objects.list(_FOLDER)) if files else []
            self.objects.write(POINTER, pointer.encoded(), version)
            self._note(published, pointer)
        return base, pointer, present

    def _read(self) -> tuple[Pointer, str] | None:
        found = self.objects.read(POINTER)
        if found is None:
            return None
        pointer = decoded(found[0], self.objects.url)
        if pointer.shop != self.shop:
            raise WarehouseError(
                f"The state at {self.objects.url} is that of the shop {pointer.shop or 'without a name'}, not of "
                f"{self.shop or 'one without a name'}. Check RIVO_STATE and RIVO_SHOPS. Nothing was changed."
            )
        return pointer, found[1]

    def _base(self, published: Path) -> tuple[Pointer | None, str | None]:
        """Return the pointer that this machine has, and its version in the storage; None for both before any.

        Raises:
            StateMoved: there is another one.
        """
        found = self._read()
        note = read_note(published, self.objects.url)
        if found is None and note is None:
            return None, None
        if found is None or note is None or not _is_known(note, found[0]):
            raise self._moved()
        return found

    def _moved(self) -> StateMoved:
        whose = ""
        with suppress(WarehouseError, ObjectsError):
            found = self._read()
            whose = f" ({found[0].machine}, {found[0].written_at:%Y-%m-%d %H:%M} UTC)" if found else ""
        return StateMoved(
            f"Another machine has written the state at {self.objects.url} in the meantime{whose}. The result of this "
            "run was discarded. Run the command again: it starts from that state."
        )

    def _check(self, published: Path, found: Pointer | None, note: Note | None) -> None:
        if found is None and note is not None:
            raise WarehouseError(
                f"There is no state at {self.objects.url} any more, from which {published} was pulled or to which it "
                f"was pushed. Check RIVO_STATE. To upload this machine's files as the first state, delete "
                f"{note_path(published)} and run the command again. Nothing was changed."
            )
        if found is None or note is not None:
            return
        local = [path for name, path in _local(published).items() if path.exists() and name != WEBHOOKS]
        # After a first push that was killed, the state has what is here.
        if unknown := [
            path for path in local if not any(_equals(path, part) for part in found.parts.values())
        ]:
            raise WarehouseError(
                f"{unknown[0]} exists, and was never part of the state at {self.objects.url}, which would replace it. "
                "Move it away to work on that state, or set RIVO_STATE to an empty prefix to upload it. Nothing was "
                "changed."
            )

    def _is_here(self, published: Path, pointer: Pointer, note: Note) -> bool:
        local = _local(published)
        is_complete = all(local[name].exists() for name in pointer.parts if name not in (WEBHOOKS, TARGETS))
        return note.is_whole and note.version == pointer.version and is_complete

    def _download(self, published: Path, pointer: Pointer, note: Note | None) -> None:
        """Replace the files; after a kill in between, the note says so, and the next pull replaces all of them."""
        local = _local(published)
        with _folder_beside(published, "pull") as folder:
            for name, part in pointer.parts.items():
                is_same = note and note.is_whole and note.keys.get(name) == part.key
                # A pending result can be one of this machine that was never pushed.
                if name != PENDING and is_same and local[name].exists():
                    continue
                self._get(part, folder / name)
            write_note(published, Note(self.objects.url, pointer.version, is_whole=False))
            if (folder / OUTBOX).exists():
                overwrite_journal(folder / OUTBOX, local[OUTBOX])
            if (folder / WEBHOOKS).exists():
                merge_deliveries(folder / WEBHOOKS, local[WEBHOOKS])
            if (folder / TARGETS).exists():
                (folder / TARGETS).replace(local[TARGETS])
            if PENDING in pointer.parts:
                replace_durably(folder / PENDING, local[PENDING], published)
            else:
                local[PENDING].unlink(missing_ok=True)
            if (folder / WAREHOUSE).exists():
                if published.exists():
                    shutil.copymode(published, folder / WAREHOUSE)
                wal_of(published).unlink(missing_ok=True)
                replace_durably(folder / WAREHOUSE, published, published)
            sibling(published, "news").unlink(missing_ok=True)
            sync_to_disk(published.parent)
            self._note(published, pointer)

    def _get(self, part: Part, file: Path) -> None:
        try:
            self.objects.get(part.key, file)
        except NoObject as error:
            raise WarehouseError(
                f"The state at {self.objects.url} is incomplete: {error} Nothing was changed."
            ) from None
        if not _equals(file, part):
            raise WarehouseError(
                f"{self.objects.url}/{part.key} is damaged: its content is not what was written. Nothing was changed."
            )

    def _put(self, file: Path, key: str) -> Part:
        part = Part(key, file.stat().st_size, _checksum(file))
        self.objects.put(file, key)
        return part

    def _next(
        self, base: Pointer | None, new: Mapping[str, Part], gone: Collection[str], *, purge: bool
    ) -> Pointer:
        old = dict(base.parts) if base else {}
        parts = {name: part for name, part in {**old, **new}.items() if name not in gone}
        earlier = base.earlier if base else ()
        if WAREHOUSE in new and old:
            # Pushes that only change a journal are many, and would soon replace all older warehouses.
            earlier = (tuple(part.key for part in old.values()), *earlier)[:KEPT]
        purge = purge or bool(base and base.has_erased)
        return Pointer(
            version=secrets.token_hex(16),
            shop=self.shop,
            machine=socket.gethostname(),
            written_at=datetime.now(UTC),
            parts=parts,
            earlier=() if purge else earlier,
            has_erased=purge and WAREHOUSE not in new and WAREHOUSE in parts,
        )

    def _note(self, published: Path, pointer: Pointer) -> None:
        keys = {name: part.key for name, part in pointer.parts.items()}
        write_note(published, Note(self.objects.url, pointer.version, keys))

    def _collect(self, present: Collection[Stored], pointer: Pointer, *, purge: bool) -> None:
        """Delete objects that no state refers to: with `purge` all of them, else those that no push can be writing."""
        youngest = timedelta() if purge else _ORPHAN_AGE
        try:
            self.objects.delete(
                [found.key for found in present if found.key not in pointer.keys and found.age >= youngest]
            )
            self.objects.discard_unfinished(youngest)
        except ObjectsError as error:
            if purge:
                raise WarehouseError(
                    f"The new state is at {self.objects.url}, but older objects under {_FOLDER} still hold the erased "
                    f"data: {error} Delete them, or fix the cause: the next run after a day deletes them."
                ) from None

    @contextmanager
    def _locked(self, published: Path) -> Iterator[None]:
        """Let no other command of this machine change the note, and with it what is in the state."""
        path = note_path(published).with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def _folder_beside(published: Path, what: str) -> Iterator[Path]:
    """Give an empty folder on the disk of the warehouse; the caller holds the lock of the note."""
    folder = _beside(published, what)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _storage_errors(published: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(published, error.strerror or str(error)) from None


def _beside(published: Path, what: str) -> Path:
    return published.with_name(f"{published.name}.{what}")


def _local(published: Path) -> dict[str, Path]:
    return {
        WAREHOUSE: published,
        PENDING: sibling(published, "pending"),
        **{kind: journal_path(published, kind) for kind in (OUTBOX, WEBHOOKS)},
        TARGETS: last_publications_path(published),
    }


def _is_known(note: Note, pointer: Pointer) -> bool:
    """Return whether a machine has all of a state but, at most, how publications to targets ended."""
    keys = {name: part.key for name, part in pointer.parts.items()}
    of_targets = {TARGETS: None}
    return note.version == pointer.version or (
        note.is_whole and {**keys, **of_targets} == {**note.keys, **of_targets}
    )


def _equals(file: Path, part: Part | None) -> bool:
    return part is not None and file.stat().st_size == part.size_bytes and _checksum(file) == part.sha256


def _checksum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()

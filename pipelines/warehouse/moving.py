"""Moves a warehouse and all that belongs to it to another name, when an install of one shop becomes one of several."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from glob import escape
from pathlib import Path

from pipelines.errors import NoWarehouse, WarehouseError
from pipelines.warehouse.files import (
    discard,
    last_publications_path,
    report_path,
    scratch_of,
    sibling,
    sync_to_disk,
)
from pipelines.warehouse.journals import OUTBOX, WEBHOOKS, journal_path, sole_use
from pipelines.warehouse.warehouse import Warehouse

_JOURNALS = (OUTBOX, WEBHOOKS)


def move(source: Warehouse, target: Warehouse) -> list[str]:
    """Rename a warehouse: the published file, an unpublished result, the journals, and the report pages.

    Each file is renamed in one step. If the process is killed in between, the same call goes on where it ended. What a
    killed sync left behind is deleted, since no later sync of the old name would do it.

    Returns:
        the names of the files that were moved.

    Raises:
        NoWarehouse: there is none to move.
        WarehouseError: a command is using either name, there is one of the new name, or a file cannot be renamed.
    """
    _to_move(source, target)
    with ExitStack() as locks:
        # A first sync of the new name would replace what was moved there when it ends.
        for warehouse in (source, target):
            _lock(warehouse, locks)
        pairs = _to_move(source, target)
        discard(sibling(source.path, "build"), scratch_of(source.path))
        try:
            target.path.parent.mkdir(parents=True, exist_ok=True)
            for kind in _JOURNALS:
                _close_journal(journal_path(source.path, kind))
            for old, new in pairs:
                old.rename(new)
            sync_to_disk(target.path.parent)
            sync_to_disk(source.path.parent)
        except OSError as error:
            raise WarehouseError(
                f"{error.filename or source} cannot be moved to {target.path.parent} ({error.strerror}). What was "
                "moved so far is there: run the command again when the cause is fixed."
            ) from None
    return [new.name for _, new in pairs]


def _to_move(source: Warehouse, target: Warehouse) -> list[tuple[Path, Path]]:
    pairs = [(old, new) for old, new in _pairs(source.path, target.path) if old.exists()]
    if not pairs:
        raise NoWarehouse(f"There is no warehouse at {source}, so there is nothing to move.")
    if taken := [new for _, new in pairs if new.exists()]:
        raise WarehouseError(
            f"{taken[0]} exists already, and would be overwritten. Nothing was moved. Move it away first, or choose "
            "another name."
        )
    return pairs


def _pairs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """Return the old and the new name of each file; the published one is last, since it says that all has moved."""
    return [
        *((journal_path(source, kind), journal_path(target, kind)) for kind in _JOURNALS),
        *((sibling(source, kind), sibling(target, kind)) for kind in ("news", "pending")),
        *_report_pages(source, target),
        (last_publications_path(source), last_publications_path(target)),
        (source, target),
    ]


def _report_pages(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """Return the old and the new name of the last report page and of those of single months."""
    yield report_path(source), report_path(target)
    first = report_path(source, "x").name.removesuffix("x.html")
    for page in sorted(source.parent.glob(f"{escape(first)}*.html")):
        month = page.name.removeprefix(first).removesuffix(".html")
        yield page, report_path(target, month)


def _lock(warehouse: Warehouse, locks: ExitStack) -> None:
    busy = f"Another command is using {warehouse} right now. Wait until it ends, then run this one again."
    locks.enter_context(sole_use(warehouse.outbox, busy))
    locks.enter_context(sole_use(warehouse.path, busy))


def _close_journal(path: Path) -> None:
    """Write what SQLite keeps beside a journal into it, so that the journal is one file."""
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("pragma journal_mode = delete")
    except sqlite3.Error as error:
        raise WarehouseError(
            f"{path} is in use or damaged ({error}). Stop `rivo serve webhooks` and other commands that use it, then "
            "run this one again."
        ) from None

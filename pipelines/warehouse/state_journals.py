"""Brings the journals of a state to this machine."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pipelines.errors import WarehouseError

_BUSY_SECONDS = 30.0


def overwrite_journal(source: Path, target: Path) -> None:
    """Replace the content of a journal by that of another file, in one transaction; other readers see it at once.

    Raises:
        WarehouseError: a file is damaged or in use.
    """
    try:
        with (
            closing(sqlite3.connect(source)) as new,
            closing(sqlite3.connect(target, timeout=_BUSY_SECONDS)) as old,
        ):
            new.backup(old)
    except sqlite3.Error as error:
        raise _unusable(target, error) from None


def merge_deliveries(source: Path, target: Path) -> None:
    """Add the deliveries and erased people of a journal to another, which a receiver may be writing into.

    Deliveries that have arrived on this machine were confirmed to Rivo, so they stay.

    Raises:
        WarehouseError: a file is damaged or in use.
    """
    if not target.exists():
        overwrite_journal(source, target)
        return
    try:
        with closing(sqlite3.connect(target, timeout=_BUSY_SECONDS, isolation_level=None)) as journal:
            journal.execute("attach ? as state", [str(source)])
            journal.execute("begin immediate")
            columns = ", ".join(
                name
                for (name,) in journal.execute("select name from pragma_table_info('deliveries', 'state')")
                if name != "position"
            )
            journal.execute(
                f"insert into deliveries ({columns}) select {columns} from state.deliveries where true "
                "order by position on conflict (id) do nothing"
            )
            journal.execute("insert or replace into erased select * from state.erased")
            journal.execute("commit")
    except sqlite3.Error as error:
        raise _unusable(target, error) from None


def _unusable(path: Path, error: sqlite3.Error) -> WarehouseError:
    return WarehouseError(
        f"{path} cannot be brought up to date with the state ({error}). Stop other commands that use it, then run this "
        "one again."
    )

"""Syncs and actions take turns: both use Rivo's rate limit, and a sync would see half of the changes of an apply."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipelines.errors import WarehouseError, command
from pipelines.warehouse import Warehouse
from pipelines.warehouse.journals import is_in_use

_MAX_WAIT_SECONDS = 3_600.0
_POLL_SECONDS = 0.5


def is_applying(warehouse: Warehouse) -> bool:
    """Return whether a command is applying actions."""
    return is_in_use(warehouse.outbox)


def wait_for_sync(warehouse: Warehouse, notice: Callable[[str], None]) -> None:
    """Wait until no sync or build works on the warehouse.

    Raises:
        WarehouseError: it has not ended after an hour.
    """
    _wait(lambda: warehouse.is_being_built, f"A sync of {warehouse}", "Actions wait", notice)


def wait_for_actions(warehouse: Warehouse, notice: Callable[[str], None]) -> None:
    """Wait until no command applies actions.

    Raises:
        WarehouseError: it has not ended after an hour.
    """
    _wait(lambda: is_applying(warehouse), f"An apply of actions to {warehouse}", "The sync waits", notice)


def _wait(is_busy: Callable[[], bool], what: str, waiting: str, notice: Callable[[str], None]) -> None:
    deadline = time.monotonic() + _MAX_WAIT_SECONDS
    is_said = False
    while is_busy():
        if time.monotonic() > deadline:
            raise WarehouseError(
                f"{what} has been running for {_MAX_WAIT_SECONDS / 60:.0f} minutes. Nothing was changed. "
                f"`{command()} status` shows the state of the warehouse; run this command again after its end."
            )
        if not is_said:
            notice(f"{what} is running. {waiting} for its end, because both share Rivo's rate limit.")
            is_said = True
        time.sleep(_POLL_SECONDS)

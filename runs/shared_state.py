"""The state that machines share (RIVO_STATE), for `rivo status` and `rivo doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelines.durations import in_words
from pipelines.errors import RivoError
from pipelines.warehouse import Warehouse

if TYPE_CHECKING:
    from pipelines.rivo.doctor import Finding


@dataclass(frozen=True)
class SharedState:
    """The newest state in RIVO_STATE.

    Attributes:
        url: where it is.
        written_at: when it was written, by the clock of the machine that wrote it; None before the first.
        machine: the name of that machine.
        is_here: whether this machine has it; else the next run that writes pulls it.
        problem: why it cannot be read; empty if it can.
    """

    url: str
    written_at: datetime | None = None
    machine: str = ""
    is_here: bool = False
    problem: str = ""

    def sentence(self, now: datetime) -> str:
        """Return where the state is, its age and whether this machine has it."""
        if self.problem:
            return self.problem
        if self.written_at is None:
            return f"{self.url}: none yet; the next run that writes uploads this machine's files"
        age = in_words(max((now - self.written_at).total_seconds(), 0))
        here = "this machine has it" if self.is_here else "this machine has an older one or none"
        return f"{self.url}: written {age} ago by {self.machine}; {here}"


def shared_state(warehouse: Warehouse) -> SharedState | None:
    """Look at the state that a warehouse is shared in; None without RIVO_STATE."""
    if warehouse.state is None:
        return None
    setting = warehouse.state.setting
    try:
        pointer, is_here = warehouse.newest_state()
        url = warehouse.state.objects.url
    except RivoError as error:
        return SharedState(setting, problem=str(error))
    if pointer is None:
        return SharedState(url)
    return SharedState(url, pointer.written_at, pointer.machine, is_here)


def check_state(warehouse: Warehouse) -> Iterator[Finding]:
    """Check that the state can be read; nothing without RIVO_STATE."""
    from pipelines.rivo.doctor import Finding

    if state := shared_state(warehouse):
        yield Finding(
            not state.problem, f"state (RIVO_STATE) {state.sentence(datetime.now(UTC))}", is_local=True
        )

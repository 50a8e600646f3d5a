"""Processes that publish warehouses one day after the other, for tests that kill them.

They are forked from one process, which has imported everything but opened no database.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from pipelines.target_settings import TargetSetting
from pipelines.targets.publishing import publish
from tests.targets.warehouses import KEYS, SCHEMAS, publish_day

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["tests.targets.publisher", "pipelines.targets.postgres", "pipelines.targets.ducklake"]
)


@dataclass
class Publisher:
    """A running process."""

    process: BaseProcess
    messages: Connection

    def done(self) -> int | str | None:
        """Wait for the next day that has been published; a text is a problem, and None the end."""
        try:
            found: int | str = self.messages.recv()
            return found
        except EOFError:
            return None

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


@contextmanager
def publisher(folder: Path, target: TargetSetting, first: int, last: int) -> Iterator[Publisher]:
    """Start a process that publishes the days from `first` until before `last`."""
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_publish_days, args=(folder, target, first, last, theirs))
    process.start()
    theirs.close()
    try:
        yield Publisher(process, ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def _publish_days(folder: Path, target: TargetSetting, first: int, last: int, messages: Connection) -> None:
    for day in range(first, last):
        warehouse = publish_day(folder, day)
        for done in publish(warehouse, "", [target], SCHEMAS, KEYS):
            messages.send(done.problem or day)

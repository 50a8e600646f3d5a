"""Handling of Ctrl-C and SIGTERM: finds out which signal arrived, and ends a process that does not end by itself."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class Signalled(Protocol):
    """A function that returns the signal that asked this process to stop, or None."""

    def __call__(self, wait: float = 0.2) -> signal.Signals | None:
        """Wait up to `wait` seconds for a signal to be noticed."""


STOPS = (signal.SIGINT, signal.SIGTERM)
"""The signals that ask a process to stop."""
_PATIENCE_SECONDS = 10.0


@contextmanager
def heard(patience: float = _PATIENCE_SECONDS) -> Iterator[Signalled]:
    """Watch for stop signals inside the block; yields a function that returns the one that arrived.

    Dagster and dlt install handlers of their own and wrap the exceptions these raise, so neither a handler nor an
    `except` of ours sees every signal. The wakeup descriptor does. CPython can also lose an interrupt inside a
    destructor, so a process that is still running `patience` seconds after the signal is ended here. That is safe at
    any moment, because a sync publishes by a single rename.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    came, over = threading.Event(), threading.Event()
    known: list[signal.Signals] = []

    def listen() -> None:
        while not known:
            number = ours.recv(1)
            if not number:
                return
            if number[0] in STOPS:
                known.append(signal.Signals(number[0]))
        came.set()
        if not over.wait(patience):
            print(
                "Stopped. The warehouse is intact; the next sync deletes any temporary files that this command left.",
                file=sys.stderr,
            )
            os._exit(128 + known[0])

    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=listen, name="signals", daemon=True).start()

    def first(wait: float = 0.2) -> signal.Signals | None:
        # The listening thread may notice the signal a moment later.
        return known[0] if came.wait(wait) else None

    try:
        yield first
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        theirs.close()


def sigterm_is_ctrl_c() -> None:
    """Make SIGTERM raise KeyboardInterrupt, as Ctrl-C does, so that every `finally` block runs."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell script starts background jobs with SIGINT ignored. Dagster treats SIGTERM as SIGINT, so that such
        # a process could only be killed.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

"""Ctrl-C and SIGTERM: which one came, whoever handled it, and an end to the process in any case."""

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
    """Asks for the signal that told this process to stop, or None."""

    def __call__(self, wait: float = 0.2) -> signal.Signals | None:
        """`wait`: seconds until it is certain that none came."""


_STOPS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE_SECONDS = 10.0


@contextmanager
def heard(patience: float = _PATIENCE_SECONDS) -> Iterator[Signalled]:
    """Inside the block, ask for the signal that told this process to stop, or None.

    Dagster and dlt put handlers of their own in place and wrap what they raise, so that neither a handler nor an
    exception of ours would see it; the wakeup descriptor hears every signal. An interrupt can also get lost inside
    a destructor of CPython's: a process that has not ended `patience` seconds later is ended here. That is safe at
    any moment, since a sync publishes by one rename.
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
            if number[0] in _STOPS:
                known.append(signal.Signals(number[0]))
        came.set()
        if not over.wait(patience):
            print(
                "Stopped. The warehouse is whole; the next sync clears away what this one left.",
                file=sys.stderr,
            )
            os._exit(128 + known[0])

    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=listen, name="signals", daemon=True).start()

    def first(wait: float = 0.2) -> signal.Signals | None:
        # The thread that listens may be a moment behind.
        return known[0] if came.wait(wait) else None

    try:
        yield first
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        theirs.close()


def sigterm_is_ctrl_c() -> None:
    """Let SIGTERM end a command as Ctrl-C does: through every `finally`, so that nothing is left half done."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So a script's shell starts what it puts into the background, and Dagster treats SIGTERM as SIGINT: such a
        # process could only be killed.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

"""The process that syncs one of several shops, and reports to the process that started it."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from rich.console import Console

from cli.commands.run_job import execute
from cli.commands.sync_choices import SyncChoices
from cli.terminal.console import Terminal
from cli.terminal.interrupts import STOPS, heard, sigterm_is_ctrl_c
from cli.terminal.sync_report import failed_before, report, stopped_before
from pipelines.errors import RivoError
from pipelines.rivo.endpoints import ENDPOINTS

_PATIENCE_SECONDS = 7.0
"""How long after a signal this process may run: less than the one that started it, which then says what happened."""
_SHOW_SECONDS = 0.25
"""Interval at which progress is reported."""


class Relay(Terminal):
    """A terminal that sends what it would show to another process."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(Console(quiet=True))
        self._connection = connection
        self._sent = 0.0

    def progress(self, name: str, rows: int) -> None:
        """Send the number of rows of a list read so far."""
        self._show(f"Reading {ENDPOINTS[name].title}: {rows:,} rows")

    def notice(self, sentence: str) -> None:
        """Send a warning."""
        send(self._connection, "note", sentence)

    def _show(self, text: str) -> None:
        if time.monotonic() - self._sent > _SHOW_SECONDS:
            self._sent = time.monotonic()
            send(self._connection, "at", text)


def work(shop: str, choices: SyncChoices, connection: Connection) -> None:
    """Sync a shop. Sends ('at', text) and ('note', sentence) while it works, then ('done', code, document)."""
    # Ctrl-C reaches the process that started this one, which passes it on; otherwise it would arrive twice.
    os.setsid()
    sigterm_is_ctrl_c()
    threading.Thread(target=_end_with_parent, args=(connection,), daemon=True).start()
    with heard(_PATIENCE_SECONDS) as signalled:
        terminal = Relay(connection)
        try:
            # They were blocked while this process was started.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            code = execute(terminal, signalled, choices, shop)
            document = report(terminal, code)
        except RivoError as error:
            document = failed_before(str(error))
            code = document["exit_code"]
        except KeyboardInterrupt:
            stopped = signalled() or signal.SIGINT
            code = 128 + stopped
            document = stopped_before(code, "It had not begun.")
        send(connection, "done", code, document)


def send(connection: Connection, *message: Any) -> None:
    """Send a message to the process that started this one, if it is still there."""
    with suppress(OSError):
        connection.send(message)


def _end_with_parent(connection: Connection) -> None:
    """Stop this process when the one that started it is gone, for example killed."""
    with suppress(EOFError, OSError):
        connection.recv()
    os.kill(os.getpid(), signal.SIGTERM)

"""Syncs several shops at once, each in a process of its own.

The processes are forked from one that has imported everything, so that only the first one waits for the imports. A shop
whose process fails or is killed touches no other.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from cli import exits
from cli.commands.sync_choices import SyncChoices
from cli.shops import worst
from cli.terminal.interrupts import STOPS, Signalled
from cli.terminal.shops_console import ShopsConsole
from cli.terminal.sync_report import as_text, failed_before, report_of_shops, stopped_before
from cli.terminal.tables import plain
from dbt_like_sql.runner import load_project
from pipelines.errors import RivoError
from pipelines.settings import Settings


@dataclass
class _Pool:
    """The shops that wait, those that are synced now, and the documents of those that are done."""

    context: ForkServerContext
    console: ShopsConsole
    choices: SyncChoices
    waiting: list[str]
    running: dict[Connection, tuple[str, ForkServerProcess]] = field(default_factory=dict)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def start(self) -> None:
        """Start the next shop."""
        shop = self.waiting[0]
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=_work, args=(shop, self.choices, theirs), name=shop)
        with _later_signals():
            process.start()
            self.running[ours] = (shop, process)
            self.waiting.pop(0)
        theirs.close()
        self.console.at(shop, "Starting")

    def hear(self) -> None:
        """Wait for messages, and show them."""
        for connection in wait(list(self.running)):
            assert isinstance(connection, Connection)
            shop, _ = self.running[connection]
            try:
                kind, *content = connection.recv()
            except (EOFError, OSError):
                self._ended(connection)
                continue
            if kind == "done":
                self._done(shop, content[1])
            elif kind == "note":
                self.console.note(shop, content[0])
            else:
                self.console.at(shop, content[0])

    def _ended(self, connection: Connection) -> None:
        shop, process = self.running.pop(connection)
        connection.close()
        process.join()
        if shop in self.documents:
            return
        code = process.exitcode or 0
        if code in (exits.INTERRUPTED, exits.TERMINATED):
            self._done(shop, stopped_before(code, "Nothing was published: readers keep the previous data."))
            return
        how = f"signal {-code}" if code < 0 else f"code {code}"
        sentence = (
            f"The process of this shop ended early ({how}). Its warehouse is intact: it is as it was, or complete. If "
            "the machine ran out of memory, sync fewer shops at once, with --shop."
        )
        self._done(shop, failed_before(sentence))

    def _done(self, shop: str, document: dict[str, Any]) -> None:
        self.documents[shop] = document
        self.console.done(shop, document)

    def stop(self, number: signal.Signals) -> None:
        """Pass a signal on, and start no more."""
        for shop in self.waiting:
            self._done(shop, stopped_before(128 + number, "It had not begun."))
        self.waiting.clear()
        for _, process in self.running.values():
            with suppress(ProcessLookupError):
                os.kill(process.pid or 0, number)


def sync_shops(names: Sequence[str], choices: SyncChoices, signalled: Signalled, *, as_json: bool) -> int:
    """Sync shops, as many at once as this machine has cores; return the worst exit code.

    Prints one line for each shop, or with `as_json` one document of all.
    """
    # An error in the SQL is reported here once, not by each process.
    load_project()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cli.commands.sync_worker"])
    # When it starts, it unblocks the signals that `_later_signals` blocks.
    resource_tracker.ensure_running()
    at_once = min(len(names), _cores())
    console = ShopsConsole(names, at_once, to_stderr=as_json)
    pool = _Pool(context, console, choices, list(names))
    with console:
        while pool.waiting or pool.running:
            try:
                while pool.waiting and len(pool.running) < at_once:
                    pool.start()
                pool.hear()
            except KeyboardInterrupt:
                pool.stop(signalled() or signal.SIGINT)
    documents = {name: pool.documents[name] for name in names}
    code = worst(document["exit_code"] for document in documents.values())
    if any((document.get("warehouse") or {}).get("published") for document in documents.values()):
        code = worst((code, _refresh_union(console)))
    console.summary(documents)
    if as_json:
        sys.stdout.write(as_text(report_of_shops(documents, code, console.seconds)))
    return code


def _refresh_union(console: ShopsConsole) -> int:
    """Write the file of all shops again, if there is one; return an exit code."""
    from runs.all_shops import refresh_united

    try:
        if written := refresh_united(Settings.load()):
            console.say(f"{written} was written again.")
    except RivoError as error:
        console.say(f"[red]Problem[/red]  The file of all shops is as it was: {plain(str(error))}")
        return exits.FAILED
    return exits.DONE


@contextmanager
def _later_signals() -> Iterator[None]:
    """Let signals to stop wait until the block ends; processes started in it do not get them at all."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _work(shop: str, choices: SyncChoices, connection: Connection) -> None:
    # Imported in the other process alone: it takes two seconds.
    from cli.commands.sync_worker import work

    work(shop, choices, connection)

"""Applies of actions against a store that fails after calls have landed, killed at random moments."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from sandbox import Server
from tests.harness.command import start_command
from tests.harness.settings import RIVO
from tests.harness.store import Store
from tests.torture.figures import Figures

FAULTS = ("landed_500=0.1", "landed_504=0.05", "dropped:points_events=0.05")
_SETTLE_SECONDS = 0.3
_LONGEST_SECONDS = 1.2
"""An apply of 50 actions is killed before it has run for this long, or ends."""


def actions(store: Store, runs: int, rows: int = 50) -> Figures:
    """Apply `runs` files of `rows` actions each, kill every other apply, then apply each until it is done."""
    figures = Figures("actions", "no action lands twice, none is lost, none stays unknown")
    store = store.with_warehouse("actions")
    store.sync()
    store.server.requests.clear()
    folder = store.path.parent
    server, random = store.server, store.random
    people = [
        id
        for id, row in store.objects("customers").items()
        if row["attributes"]["loyalty_status"] == "member"
    ]
    files = [_write(folder / f"run{n}.csv", n, people, rows) for n in range(runs)]
    killed = 0
    for number, file in enumerate(files):
        server.faults = FAULTS
        command = start_command(*_command(store, file))
        if number % 2:
            time.sleep(random.random() * _LONGEST_SECONDS)
            killed += command.is_running
            os.kill(command.pid, signal.SIGKILL) if command.is_running else None
        _look(command.wait(), figures, number)
        figures.runs += 1
    for number, file in enumerate(files):
        # What the last kill left is resolved by any apply; what was not sent, by that of its file.
        for _ in range(4):
            ended = start_command(*_command(store, file)).wait()
            _look(ended, figures, number)
            if ended.returncode == 0 and "Nothing to send" in ended.stdout:
                break
        else:
            figures.must(False, f"run {number}: not done after four applies: {ended.stdout[-300:]}")
    server.faults = ()
    _judge(server, runs * rows, figures)
    figures.seen["call without an answer"] = sum(
        call.method == "POST" and (call.status >= 500 or "dropped" in call.faults) for call in server.requests
    )
    figures.notes.append(
        f"{runs * rows:,} actions, {killed} applies killed, {figures.seen.total():,} without an answer"
    )
    return figures.end()


def _write(file: Path, number: int, people: list[int], rows: int) -> Path:
    with file.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(["customer_id", "points_amount", "external_note", "run"])
        for row in range(rows):
            writer.writerow([people[row % len(people)], row % 7 + 1, f"torture {number}-{row}", number])
    return file


def _command(store: Store, file: Path) -> tuple[list[str], dict[str, str], Path]:
    command = [RIVO, "actions", "apply", "add_points", "--from", str(file), "--key", "external_note", "--yes"]
    return command, store.environment(RIVO_SETTLE_SECONDS=str(_SETTLE_SECONDS)), store.path.parent


def _look(ended: subprocess.CompletedProcess[str], figures: Figures, number: int) -> None:
    if ended.returncode == -signal.SIGKILL:
        return
    figures.must("Traceback" not in ended.stderr, f"run {number}: {ended.stderr[-300:]}")
    figures.must(ended.returncode in (0, 1), f"run {number}: exit {ended.returncode}: {ended.stderr[-300:]}")
    figures.must("refused by Rivo" not in ended.stdout, f"run {number}: {ended.stdout[-300:]}")


def _judge(server: Server, expected: int, figures: Figures) -> None:
    """Count what landed in the store, by the note of each action."""
    rows = server.program.snapshot(server.now)["points_events"]
    notes = Counter(row["attributes"].get("external_note") for row in rows)
    ours = {note: count for note, count in notes.items() if str(note).startswith("torture ")}
    figures.lost = expected - len(ours)
    figures.doubled = sum(count - 1 for count in ours.values())
    figures.must(figures.lost == 0, f"{figures.lost} actions were lost")
    figures.must(figures.doubled == 0, f"{figures.doubled} actions landed twice")

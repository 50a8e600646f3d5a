"""Readers in other processes query the published file continuously while syncs replace it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Collection
from ctypes import c_uint64
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb

from tests.harness.store import Store
from tests.torture.figures import Figures
from tests.torture.judge import agrees, judge

_processes = multiprocessing.get_context("forkserver")


def readers(store: Store, syncs: int, count: int = 8) -> Figures:
    """Sync under `count` readers: half open the file for each query, half keep it open through several syncs."""
    figures = Figures("readers", "raw, marts and sync_log agree in every answer; no error; no sync waits")
    store = store.with_warehouse("readers")
    path = store.path
    figures.must(store.sync_in_child(models=True) is None, "the first sync failed")
    stop = _processes.Event()
    started = []
    counts = [_processes.Value(c_uint64, 0) for _ in range(count)]
    for number, count_of_one in enumerate(counts):
        ours, theirs = _processes.Pipe(duplex=False)
        arguments = (path, number % 2 == 0, stop, count_of_one, theirs)
        process = _processes.Process(target=_read, args=arguments, daemon=True)
        process.start()
        started.append((process, ours))
    figures.must(_all_answer(counts), "a reader did not begin")
    publishing = []
    for number in range(syncs):
        store.wait()
        # Once, all readers are stopped with the file open, and the sync must end all the same.
        frozen = number == syncs // 2
        for process, _ in started if frozen else ():
            os.kill(process.pid or 0, signal.SIGSTOP)
        child = store.start(models=True)
        child.wait_for_publishing()
        began = time.monotonic()
        said = child.end()
        publishing.append(time.monotonic() - began)
        for process, _ in started if frozen else ():
            os.kill(process.pid or 0, signal.SIGCONT)
        figures.must(said is None, f"sync {number + 1}: {said}")
        figures.must(_all_answer(counts), f"a reader no longer answers after sync {number + 1}")
        figures.runs += 1
    stop.set()
    answers, states = 0, set()
    for process, ours in started:
        figures.must(ours.poll(60), "a reader did not end")
        asked, seen, problems = ours.recv()
        answers += asked
        states |= seen
        figures.problems += problems[:3]
        process.join(10)
    figures.must(len(states) == syncs + 1, f"of {syncs + 1} states the readers met {len(states)}")
    figures.add(judge(path, store.program, models=True, observations=0), "at the end")
    figures.notes.append(
        f"{count} readers, {answers:,} answers, {len(states)} states seen; publishing took {max(publishing):.2f} s at "
        "most, also while all readers stood still with the file open"
    )
    return figures.end()


def _all_answer(counts: Collection[Synchronized[int]], seconds: float = 60) -> bool:
    """Wait for two more answers of each reader: the query of the second one began after this call."""
    wanted = [count.value + 2 for count in counts]
    until = time.monotonic() + seconds
    while any(count.value < least for count, least in zip(counts, wanted, strict=True)):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _read(path: Path, reopen: bool, stop: Event, answered: Synchronized[int], pipe: Connection) -> None:
    asked, states, problems = 0, set(), []
    connection: duckdb.DuckDBPyConnection | None = None
    held, first = 0, None
    while not stop.is_set():
        try:
            if connection is None:
                connection, held = duckdb.connect(str(path), read_only=True), 0
            state, said = agrees(connection)
            problems += said
            if held and state != first:
                problems.append("an open file changed under its reader")
            first = state
            states.add(str(state))
            held += 1
            asked += 1
            answered.value = asked
            if reopen or held >= 200:
                connection.close()
                connection = None
        except duckdb.Error as error:
            problems.append(f"a reader failed: {error}")
            connection = None
        # Two processors are shared by eight readers and the sync.
        time.sleep(0.05)
    pipe.send((asked, states, problems))

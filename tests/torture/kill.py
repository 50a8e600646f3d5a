"""SIGKILL to the whole process group at random moments of a sync."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from tests.harness.store import Store
from tests.torture.figures import Figures
from tests.torture.judge import judge

_PUBLISHING_SECONDS = 0.15
"""About the duration of publishing; a later kill hits nothing and is not counted."""


def kill(store: Store, kills: int, *, rivo: bool = True) -> Figures:
    """Kill `kills` syncs: first loads, daily ones, model builds, publishing, and the `rivo` command itself."""
    figures = Figures(
        "kill", "file opens, is yesterday's or today's state, equals the store; so after a clean sync"
    )
    commands = kills // 8 if rivo else 0
    with_models = max(1, kills // 4)
    first = max(1, kills // 8)
    phases: Counter[str] = Counter()
    for number in range(first):
        _kill_until(
            store.with_warehouse(f"first{number}"), figures, phases, 1, models=number % 4 == 0, is_first=True
        )
    _kill_until(store.with_warehouse("models"), figures, phases, with_models, models=True)
    if commands:
        _kill_rivo(store.with_warehouse("rivo"), figures, phases, commands)
    _kill_until(
        store.with_warehouse("lists"), figures, phases, kills - first - with_models - commands, models=False
    )
    hit = ", ".join(f"{count} in {phase}" for phase, count in sorted(phases.items()))
    figures.notes.append(f"{phases.total()} syncs killed: {hit}")
    return figures.end()


def _kill_until(
    store: Store,
    figures: Figures,
    phases: Counter[str],
    kills: int,
    *,
    models: bool,
    is_first: bool = False,
) -> None:
    path = store.path
    what = "first load" if is_first else "lists"
    took = 3.0 if is_first else 1.0
    if not is_first:
        started = time.monotonic()
        figures.must(store.start(models=models).end() is None, f"{path}: the first sync failed")
        took = time.monotonic() - started
    hit = 0
    while hit < kills:
        store.wait(store.random.uniform(0.1, 1.5))
        before = _bytes(path)
        child = store.start(models=models)
        if store.random.random() < 0.35:
            # Publishing is so short that random kills would rarely hit it.
            child.wait_for_publishing()
            time.sleep(store.random.uniform(0, _PUBLISHING_SECONDS))
        else:
            time.sleep(store.random.uniform(0, took))
        if child.kill():
            hit += 1
            figures.runs += 1
            phases[what if child.phase in ("lists", "start") else child.phase] += 1
        _look(store, figures, before, models=models)
    store.wait(0.5)
    said = store.sync_in_child(models=models, full=True)
    figures.must(not said, f"{path.parent.name}: the clean sync at the end failed: {said}")
    figures.add(judge(path, store.program, models=models, observations=0), f"{path.parent.name} at the end")
    kept = {"rivo.duckdb", "rivo.lock", "rivo.report.html"}
    left = {file.name for file in path.parent.iterdir() if file.is_file()} - kept
    figures.must(not left, f"{path.parent.name}: left behind {sorted(left)}")


def _kill_rivo(store: Store, figures: Figures, phases: Counter[str], kills: int) -> None:
    path = store.path
    started = time.monotonic()
    process = store.start_rivo("sync")
    said, _ = process.communicate(timeout=300)
    figures.must(process.returncode == 0, f"rivo sync failed: {said}")
    took = time.monotonic() - started
    hit = 0
    while hit < kills:
        store.wait(store.random.uniform(0.1, 1.5))
        before = _bytes(path)
        process = store.start_rivo("sync")
        try:
            process.communicate(timeout=store.random.uniform(0.1, took))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            hit += 1
            figures.runs += 1
            phases["rivo sync"] += 1
        _look(store, figures, before, models=True)
    store.wait(0.5)
    process = store.start_rivo("sync", "--full")
    said, _ = process.communicate(timeout=300)
    figures.must(process.returncode == 0, f"rivo sync after the kills failed: {said}")
    figures.add(judge(path, store.program, models=True, observations=0), "rivo at the end")


def _look(store: Store, figures: Figures, before: bytes | None, *, models: bool) -> None:
    """Check after a kill that the file is unchanged or the complete new state."""
    path = store.path
    after = _bytes(path)
    if after == before:
        return
    figures.add(judge(path, store.program, models=models), f"{path.parent.name} after kill {figures.runs}")


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None

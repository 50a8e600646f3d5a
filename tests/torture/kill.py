"""SIGKILL to the whole process group at random moments of a sync."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from tests.torture.children import Child
from tests.torture.figures import Figures
from tests.torture.ground import Ground
from tests.torture.judge import judge

_PUBLISHING_SECONDS = 0.15
"""About how long publishing takes here; a kill that comes later hits nothing, and is not counted."""


def kill(at: Ground, kills: int, *, rivo: bool = True) -> Figures:
    """Kill so many syncs: first loads, daily ones, model builds, publishing, and the `rivo` command itself."""
    figures = Figures(
        "kill", "file opens, is yesterday's or today's state, equals the store; so after a clean sync"
    )
    commands = kills // 8 if rivo else 0
    with_models = max(1, kills // 4)
    first = max(1, kills // 8)
    phases: Counter[str] = Counter()
    for number in range(first):
        _kill_until(at, figures, phases, at.path(f"first{number}"), 1, models=number % 4 == 0, is_first=True)
    _kill_until(at, figures, phases, at.path("models"), with_models, models=True)
    if commands:
        _kill_rivo(at, figures, phases, at.path("rivo"), commands)
    _kill_until(at, figures, phases, at.path("lists"), kills - first - with_models - commands, models=False)
    hit = ", ".join(f"{count} in {phase}" for phase, count in sorted(phases.items()))
    figures.notes.append(f"{phases.total()} syncs killed: {hit}")
    return figures.end()


def _kill_until(
    at: Ground,
    figures: Figures,
    phases: Counter[str],
    path: Path,
    kills: int,
    *,
    models: bool,
    is_first: bool = False,
) -> None:
    job = at.job(path, models=models)
    what = "first load" if is_first else "lists"
    took = 3.0 if is_first else 1.0
    if not is_first:
        started = time.monotonic()
        figures.must(Child(job).end() is None, f"{path}: the first sync failed")
        took = time.monotonic() - started
    hit = 0
    while hit < kills:
        at.wait(at.chance.uniform(0.1, 1.5))
        before = _bytes(path)
        child = Child(job)
        if at.chance.random() < 0.35:
            # Publishing takes a moment only: chance alone would hardly meet it.
            while child.phase not in ("publishing", "done") and child.hear(120):
                pass
            time.sleep(at.chance.uniform(0, _PUBLISHING_SECONDS))
        else:
            time.sleep(at.chance.uniform(0, took))
        if child.kill():
            hit += 1
            figures.runs += 1
            phases[what if child.phase in ("lists", "start") else child.phase] += 1
        _look(at, figures, path, before, models=models)
    at.wait(0.5)
    said = Child(at.job(path, models=models, full=True)).end()
    figures.must(not said, f"{path.parent.name}: the clean sync at the end failed: {said}")
    figures.add(judge(path, at.program, models=models, observations=0), f"{path.parent.name} at the end")
    left = {file.name for file in path.parent.iterdir() if file.is_file()} - {"rivo.duckdb", "rivo.lock"}
    figures.must(not left, f"{path.parent.name}: left behind {sorted(left)}")


def _kill_rivo(at: Ground, figures: Figures, phases: Counter[str], path: Path, kills: int) -> None:
    started = time.monotonic()
    process = at.rivo(path, "sync")
    said, _ = process.communicate(timeout=300)
    figures.must(process.returncode == 0, f"rivo sync failed: {said}")
    took = time.monotonic() - started
    hit = 0
    while hit < kills:
        at.wait(at.chance.uniform(0.1, 1.5))
        before = _bytes(path)
        process = at.rivo(path, "sync")
        try:
            process.communicate(timeout=at.chance.uniform(0.1, took))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            hit += 1
            figures.runs += 1
            phases["rivo sync"] += 1
        _look(at, figures, path, before, models=True)
    at.wait(0.5)
    process = at.rivo(path, "sync", "--full")
    said, _ = process.communicate(timeout=300)
    figures.must(process.returncode == 0, f"rivo sync after the kills failed: {said}")
    figures.add(judge(path, at.program, models=True, observations=0), "rivo at the end")


def _look(at: Ground, figures: Figures, path: Path, before: bytes | None, *, models: bool) -> None:
    """After a kill: the file is untouched, or it is the whole new state."""
    after = _bytes(path)
    if after == before:
        return
    figures.add(judge(path, at.program, models=models), f"{path.parent.name} after kill {figures.runs}")


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None

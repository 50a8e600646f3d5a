"""Syncs in processes of their own, each the head of a process group that can be killed whole.

They are forked from a process that has imported everything already: a hundred of them cost no hundred imports.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dbt_like_sql.runner import load_project
from pipelines.errors import RivoError
from pipelines.load.sync import ListResult, SyncOptions, sync_lists
from pipelines.settings import Settings
from pipelines.warehouse import Build, Warehouse
from pipelines.warehouse.raw_tables import ensure_tables, write_settings
from runs.run import Finished, Plan, Step, run

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.torture.children"])
PATIENCE_SECONDS = 3.0


@dataclass(frozen=True)
class Job:
    """What a child does: one sync of all lists into `path`, with the models or without."""

    path: Path
    url: str
    key: str
    models: bool = False
    full: bool = False
    file_limit: int | None = None
    """No file may grow beyond so many bytes."""

    def settings(self) -> Settings:
        """Fast and impatient; every row counts as one that can still change, so that each sync is exact."""
        given: dict[str, Any] = {"api_key": self.key, "api_url": self.url, "warehouse": str(self.path)}
        return Settings(
            **given,
            rate_limit=5000,
            patience_seconds=PATIENCE_SECONDS,
            lookback_days=36_500,
            full_sweep_days=7,
        )


class Child:
    """A running sync. `phase` is what it said last: start, lists, models, publishing, done."""

    def __init__(self, job: Job) -> None:
        self._pipe, theirs = _processes.Pipe(duplex=False)
        self.process = _processes.Process(target=_work, args=(job, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.phase = "start"
        self.error: str | None = None
        self.peak_mb = 0
        self.hear(30)

    def hear(self, seconds: float) -> bool:
        """Wait for its next word; False where none comes in that time, or ever."""
        try:
            if not self._pipe.poll(seconds):
                return False
            self.phase, error, self.peak_mb = self._pipe.recv()
            self.error = error or self.error
            return True
        except EOFError:
            return False

    def catch_up(self) -> str:
        """The phase it is in now."""
        while self.hear(0):
            pass
        return self.phase

    def kill(self) -> bool:
        """SIGKILL to its whole group; whether it was still at work."""
        self.catch_up()
        alive = self.phase != "done" and self.process.is_alive()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.join()
        self.catch_up()
        return alive and self.phase != "done"

    def end(self, seconds: float = 120) -> str | None:
        """Let it end; the sentence it failed with, None where it did not."""
        while self.phase != "done" and self.hear(seconds):
            pass
        self.process.join(seconds)
        return (
            self.error or None
            if self.phase == "done"
            else f"ended in phase {self.phase} with {self.process.exitcode}"
        )


def _work(job: Job, pipe: Connection) -> None:
    os.setsid()
    if job.file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.file_limit, job.file_limit))
    publish = Build.publish

    def say(phase: str, error: str | None = None) -> None:
        pipe.send((phase, error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))

    def telling(build: Build) -> None:
        say("publishing")
        publish(build)

    Build.publish = telling  # type: ignore[method-assign, assignment]
    say("start")
    try:
        problems = _with_models(job, say) if job.models else _lists(job, say)
    except RivoError as error:
        problems = [str(error)]
    except BaseException as error:
        problems = [f"Traceback: {type(error).__name__}: {error}"]
    say("done", "\n".join(problems))


def _lists(job: Job, say: Callable[[str], None]) -> list[str]:
    settings = job.settings()
    with Warehouse(job.path).build() as work:
        ensure_tables(work.connection)
        write_settings(work.connection, settings.timezone)
        say("lists")
        results = list(sync_lists(work, settings, SyncOptions(full=job.full)))
        if any(result.complete for result in results):
            work.publish()
    return [result.error for result in results if result.error]


def _with_models(job: Job, say: Callable[[str], None]) -> list[str]:
    project = load_project()
    problems: list[str] = []
    for event in run(Plan(SyncOptions(full=job.full), list(project.nodes), True), job.settings(), project):
        if isinstance(event, ListResult):
            say("lists")
        elif isinstance(event, Step):
            say(event.text)
        elif isinstance(event, Finished):
            problems += event.problems
    return problems

"""Syncs in child processes, each the head of a process group that can be killed as a whole.

Children are forked from a process that has already imported everything, so a hundred of them cost no hundred imports.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dbt_like_sql.runner import Project
from pipelines.errors import RivoError
from pipelines.load.sync import ListResult, SyncOptions, sync_lists
from pipelines.settings import Settings
from pipelines.warehouse import Build, Warehouse
from runs.run import Finished, Plan, Step, run
from runs.shop import shop_to_sync
from tests.harness.command import SINGLE_THREAD
from tests.harness.working_copy import working_copy

_processes = multiprocessing.get_context("forkserver")
_PACKAGES = (
    *("dlt.common.libs.pyarrow", "dlt.destinations.impl.duckdb.sql_client", "dlt.sources.helpers.requests"),
    *("duckdb", "pandas", "pyarrow.dataset", "pyarrow.pandas_compat", "pyarrow.parquet", "sqlalchemy"),
)
"""Imported by each sync, in an order that starts no thread."""
# The last two bring dlt, which a sync imports only when it has rows to load.
_processes.set_forkserver_preload(
    [*_PACKAGES, "tests.harness.child", "pipelines.load.destination", "pipelines.rivo.source"]
)


@lru_cache(maxsize=1)
def _start_server() -> None:
    """Start the process that children are forked from, without threads, which a fork would not take along."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SINGLE_THREAD.items():
            patch.setenv(name, value)
        forkserver.ensure_running()


@dataclass(frozen=True)
class Job:
    """The work of a child: one sync of all lists into `path`, with the models of a project or without any."""

    path: Path
    settings: Settings
    project: Project | None = None
    full: bool = False
    file_limit: int | None = None
    """Largest size of a file in bytes."""


class Child:
    """A running sync. `phase` is the last one it reported: start, lists, models, publishing, done."""

    def __init__(self, job: Job) -> None:
        _start_server()
        self._pipe, theirs = _processes.Pipe(duplex=False)
        self.process = _processes.Process(target=_work, args=(job, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.phase = "start"
        self.error: str | None = None
        self.peak_mb = 0
        self.next_phase(30)

    def next_phase(self, seconds: float) -> bool:
        """Wait for the next phase; return whether one was reported in time."""
        try:
            if not self._pipe.poll(seconds):
                return False
            self.phase, error, self.peak_mb = self._pipe.recv()
            self.error = error or self.error
            return True
        except EOFError:
            return False

    def wait_for_publishing(self, seconds: float = 120) -> None:
        """Return when the child publishes, or has ended."""
        while self.phase not in ("publishing", "done") and self.next_phase(seconds):
            pass

    def catch_up(self) -> str:
        """Return the phase that the child is in now."""
        while self.next_phase(0):
            pass
        return self.phase

    def kill(self) -> bool:
        """Send SIGKILL to the whole process group; return whether the child was still running."""
        self.catch_up()
        alive = self.phase != "done" and self.process.is_alive()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.join()
        self.catch_up()
        return alive and self.phase != "done"

    def end(self, seconds: float = 120) -> str | None:
        """Wait until the child ends; return its error, None on success."""
        while self.phase != "done" and self.next_phase(seconds):
            pass
        self.process.join(seconds)
        return (
            self.error or None
            if self.phase == "done"
            else f"ended in phase {self.phase} with {self.process.exitcode}"
        )


def _work(job: Job, pipe: Connection) -> None:
    os.setsid()
    # A sync starts threads as it needs them.
    for name in SINGLE_THREAD:
        os.environ.pop(name, None)
    if job.file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.file_limit, job.file_limit))
    publish = Build.publish

    def report(phase: str, error: str | None = None) -> None:
        pipe.send((phase, error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))

    def reporting(build: Build) -> None:
        report("publishing")
        publish(build)

    Build.publish = reporting  # type: ignore[method-assign, assignment]
    report("start")
    try:
        problems = _sync_with_models(job, job.project, report) if job.project else _sync_lists(job, report)
    except RivoError as error:
        problems = [str(error)]
    except BaseException as error:
        problems = [f"Traceback: {type(error).__name__}: {error}"]
    report("done", "\n".join(problems))


def _sync_lists(job: Job, report: Callable[[str], None]) -> list[str]:
    with working_copy(Warehouse(job.path), job.settings) as work:
        report("lists")
        results = list(sync_lists(work, job.settings, SyncOptions(full=job.full)))
        if any(result.complete for result in results):
            work.publish()
    return [result.error for result in results if result.error]


def _sync_with_models(job: Job, project: Project, report: Callable[[str], None]) -> list[str]:
    problems: list[str] = []
    plan = Plan(SyncOptions(full=job.full), list(project.nodes), publish=True)
    for event in run(plan, project, shop_to_sync(job.settings)):
        if isinstance(event, ListResult):
            report("lists")
        elif isinstance(event, Step):
            report(event.text)
        elif isinstance(event, Finished):
            problems += event.problems
    return problems

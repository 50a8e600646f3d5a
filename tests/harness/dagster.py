"""A store whose syncs run through Dagster, with an instance on disk as `rivo` sets it up."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.definitions import defs
from assets.instance.home import open_instance
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import PROJECT
from sandbox import Program, ProgramOptions, serve
from tests.harness.prepared import prepare_once
from tests.harness.settings import shorten_retries
from tests.harness.store import Store

KEY = "shpka-secret-0123456789abcdef"
OPTIONS = ProgramOptions(seed=7, customers=80, months=6)


@dataclass
class DagsterStore(Store):
    """A store, and the Dagster instance that the runs of its jobs are stored in."""

    instance: dg.DagsterInstance = field(kw_only=True)

    @property
    def folder(self) -> Path:
        """The folder of the warehouse and of DAGSTER_HOME."""
        return self.path.parent

    @property
    def pending(self) -> Path:
        """The working copy that a run keeps when it does not publish."""
        return self.path.with_name("rivo.pending.duckdb")

    def run_job(self, *selection: str, job: str = "daily_sync", **options: Any) -> dg.ExecuteInProcessResult:
        """Run a job in this process, or the part of it that these asset keys name."""
        keys = [dg.AssetKey(key.split("/")) for key in selection]
        return defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, asset_selection=keys or None, raise_on_error=False, **options
        )


@contextmanager
def open_dagster_store(folder: Path, options: ProgramOptions, key: str) -> Iterator[DagsterStore]:
    """Serve a store, with settings in this process's environment and a Dagster instance below `folder`."""
    home = folder / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
    path = folder / "rivo.duckdb"
    with serve(Program(options), key=key, rate_limit=0) as server, pytest.MonkeyPatch.context() as patch:
        shorten_retries(patch)
        patch.setenv("DAGSTER_HOME", str(home))
        for name, value in Store(server, path, {"patience_seconds": 3}).environment().items():
            if name.startswith("RIVO_"):
                patch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield DagsterStore(server, path, instance=instance)


def home_without_runs(factory: pytest.TempPathFactory) -> Path:
    """Return a DAGSTER_HOME with its databases but without runs. No test may change it."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAGSTER_HOME", str(folder / "dagster"))
            with open_instance():
                pass

    return prepare_once(factory, "dagster-home", make) / "dagster"


def synced_folder(factory: pytest.TempPathFactory) -> Path:
    """Return a folder after two runs of a store with KEY and OPTIONS, five weeks apart. No test may change it.

    The first run read all lists; the second one did that too, built the models and published. It was a day before
    the end of the store's history.
    """

    def make(folder: Path) -> None:
        with open_dagster_store(folder, OPTIONS, KEY) as store:
            store.wait(-36)
            assert store.run_job(*(f"rivo_raw/{name}" for name in ENDPOINTS)).success
            store.wait(35)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("RIVO_REPORT", "yes")
                assert store.run_job().success

    return prepare_once(factory, "dagster", make)

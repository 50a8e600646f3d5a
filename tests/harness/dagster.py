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
from pipelines.settings import PROJECT
from sandbox import Program, ProgramOptions, serve
from tests.harness.settings import shorten_retries
from tests.harness.store import Store


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

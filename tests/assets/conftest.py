"""A small store over real HTTP, a warehouse, and a Dagster instance on disk as `rivo` sets it up."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from assets.definitions import defs
from pipelines.rivo import client
from pipelines.settings import PROJECT
from sandbox import Program, ProgramOptions, Server, serve

KEY = "shpka-secret-0123456789abcdef"
OPTIONS = ProgramOptions(seed=7, customers=80, months=6)


@dataclass
class House:
    """All that a run works on."""

    server: Server
    folder: Path
    instance: dg.DagsterInstance

    @property
    def warehouse(self) -> Path:
        return self.folder / "rivo.duckdb"

    @property
    def pending(self) -> Path:
        return self.folder / "rivo.pending.duckdb"

    def run(self, *selection: str, **options: Any) -> dg.ExecuteInProcessResult:
        """The job `daily_sync` in this process, or the part of it that these keys name."""
        keys = [dg.AssetKey(key.split("/")) for key in selection]
        return defs.resolve_job_def(options.pop("job", "daily_sync")).execute_in_process(
            instance=self.instance, asset_selection=keys or None, raise_on_error=False, **options
        )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def wait(self, days: float) -> None:
        self.server.now += timedelta(days=days)


@contextmanager
def moved_in(folder: Path, server: Server) -> Iterator[House]:
    """The settings and the instance of a house in a folder."""
    home = folder / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        patch.setenv("RIVO_API_KEY", KEY)
        patch.setenv("RIVO_API_URL", server.url)
        patch.setenv("RIVO_WAREHOUSE", str(folder / "rivo.duckdb"))
        patch.setenv("RIVO_RATE_LIMIT", "10000")
        patch.setenv("RIVO_PATIENCE_SECONDS", "3")
        unhurried = client._wait
        patch.setattr(client, "_wait", lambda state: unhurried(state) / 10)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield House(server, folder, instance)


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after two syncs, five weeks apart; the store's clock stands at the end of its history."""
    folder = tmp_path_factory.mktemp("synced")
    with serve(Program(OPTIONS), key=KEY, rate_limit=0) as server, moved_in(folder, server) as house:
        house.wait(-36)
        assert house.run().success
        house.wait(35)
        assert house.run().success
    return folder


@pytest.fixture
def house(synced: Path, tmp_path: Path) -> Iterator[House]:
    """The same house for a test of one's own, a day after its last sync."""
    folder = tmp_path / "house"
    shutil.copytree(synced, folder)
    with serve(Program(OPTIONS), key=KEY, rate_limit=0) as server, moved_in(folder, server) as house:
        yield house

"""Two small stores in one install, synced through Dagster: the shops `de` and `fr`, equal but for their keys."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.definitions import definitions
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from sandbox import Program, ProgramOptions, Server, serve
from tests.harness.settings import shorten_retries
from tests.harness.store import project

SHOPS = ("de", "fr")


@dataclass(frozen=True)
class Shops:
    """The stores by shop, and the Dagster instance that the runs of all are stored in."""

    folder: Path
    """The folder of RIVO_WAREHOUSE and of DAGSTER_HOME."""
    servers: dict[str, Server]
    instance: dg.DagsterInstance
    defs: dg.Definitions

    def warehouse(self, shop: str) -> Warehouse:
        """Return the warehouse of a shop."""
        return Warehouse(self.folder / "shops" / f"{shop}.duckdb")

    def wait(self, days: float) -> None:
        """Move the clocks of all stores."""
        for server in self.servers.values():
            server.now += timedelta(days=days)

    def check_results(self) -> list[tuple[Any, ...]]:
        """Return the partition, the status and the number of results of checks in Dagster's storage."""
        path = self.folder / "dagster" / "history" / "runs" / "index.db"
        with closing(sqlite3.connect(path)) as index:
            return index.execute(
                "select partition, execution_status, count(*) from asset_check_executions "
                "group by 1, 2 order by 1, 2"
            ).fetchall()

    def run_job(
        self, shop: str, *selection: str, job: str = "daily_sync", **options: Any
    ) -> dg.ExecuteInProcessResult:
        """Run a job for a shop in this process, or the part of it that these asset keys name."""
        keys = [dg.AssetKey(key.split("/")) for key in selection]
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            asset_selection=keys or None,
            partition_key=shop,
            raise_on_error=False,
            **options,
        )


@contextmanager
def open_shops(folder: Path, synced: Path, used_home: Path, options: ProgramOptions) -> Iterator[Shops]:
    """Serve both stores, with settings in this process's environment and a copy of the DAGSTER_HOME `used_home`.

    Each shop has a copy of the warehouse `synced`.
    """
    home = folder / "dagster"
    shutil.copytree(used_home, home)
    (folder / "shops").mkdir()
    variables = {
        "RIVO_SHOPS": ",".join(SHOPS),
        "RIVO_WAREHOUSE": str(folder / "rivo.duckdb"),
        "RIVO_RATE_LIMIT": "10000",
        "RIVO_PATIENCE_SECONDS": "3",
        "DAGSTER_HOME": str(home),
    }
    with ExitStack() as stack:
        servers = {}
        for shop in SHOPS:
            key = f"shpka-{shop}-0123456789abcdef"
            servers[shop] = stack.enter_context(serve(Program(options), key=key, rate_limit=0))
            variables |= {
                f"RIVO_SHOP_{shop.upper()}_API_KEY": key,
                f"RIVO_SHOP_{shop.upper()}_API_URL": servers[shop].url,
            }
            shutil.copyfile(synced, folder / "shops" / f"{shop}.duckdb")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        shorten_retries(patch)
        for name, value in variables.items():
            patch.setenv(name, value)
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        yield Shops(folder, servers, instance, definitions(Settings.load(), project()))

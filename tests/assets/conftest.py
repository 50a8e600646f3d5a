"""A small store whose syncs run through Dagster, with an instance on disk as `rivo` sets it up."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.rivo.endpoints import ENDPOINTS
from sandbox import ProgramOptions
from tests.harness.dagster import DagsterStore, open_dagster_store
from tests.harness.dagster_shops import Shops, open_shops
from tests.harness.prepared import prepare_once

KEY = "shpka-secret-0123456789abcdef"
OPTIONS = ProgramOptions(seed=7, customers=80, months=6)


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after two runs, five weeks apart, the last one a day before the end of the store's history.

    The first run read all lists; the second one did that too, built the models and published.
    """

    def make(folder: Path) -> None:
        with open_dagster_store(folder, OPTIONS, KEY) as store:
            store.wait(-36)
            assert store.run_job(*(f"rivo_raw/{name}" for name in ENDPOINTS)).success
            store.wait(35)
            assert store.run_job().success

    return prepare_once(tmp_path_factory, "dagster", make)


@pytest.fixture
def store(synced: Path, tmp_path: Path) -> Iterator[DagsterStore]:
    """A copy of that folder, with the store's clock a day after its last sync."""
    folder = tmp_path / "store"
    shutil.copytree(synced, folder)
    with open_dagster_store(folder, OPTIONS, KEY) as store:
        yield store


@pytest.fixture
def shops(synced: Path, tmp_path: Path) -> Iterator[Shops]:
    """Two shops, each with a copy of that folder's warehouse, and a Dagster instance without runs."""
    with open_shops(tmp_path / "shops", synced / "rivo.duckdb", OPTIONS) as shops:
        yield shops

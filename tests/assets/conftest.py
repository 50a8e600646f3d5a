"""A small store whose syncs run through Dagster, with an instance on disk as `rivo` sets it up."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.dagster import (
    KEY,
    OPTIONS,
    DagsterStore,
    home_without_runs,
    open_dagster_store,
    synced_folder,
)
from tests.harness.dagster_shops import Shops, open_shops

__all__ = ["KEY", "OPTIONS"]


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `synced_folder`."""
    return synced_folder(tmp_path_factory)


@pytest.fixture
def store(synced: Path, tmp_path: Path) -> Iterator[DagsterStore]:
    """A copy of that folder, with the store's clock a day after its last sync."""
    folder = tmp_path / "store"
    shutil.copytree(synced, folder)
    with open_dagster_store(folder, OPTIONS, KEY) as store:
        yield store


@pytest.fixture
def shops(synced: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    """Two shops, each with a copy of that folder's warehouse, and a Dagster instance without runs."""
    used_home = home_without_runs(tmp_path_factory)
    with open_shops(tmp_path / "shops", synced / "rivo.duckdb", used_home, OPTIONS) as shops:
        yield shops

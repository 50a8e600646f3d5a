"""A store with a history, shared by the tests of this folder; a test that changes it works on a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sandbox import ProgramOptions
from tests.harness.prepared import prepare_once
from tests.harness.store import Store
from tests.harness.store import open_store as serve_store
from tests.pipelines.privacy.traces import KEY

OpenStore = Callable[..., Store]
OPTIONS = ProgramOptions(seed=7, customers=50, months=5)
SETTINGS: dict[str, Any] = {"pii_key": KEY}


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse after two syncs, a week apart, with all models."""

    def make(folder: Path) -> None:
        with serve_store(folder / "rivo.duckdb", OPTIONS, options=SETTINGS, must_complete=True) as store:
            store.wait(-7)
            store.sync()
            store.wait(7)
            store.sync(models=True)

    return prepare_once(tmp_path_factory, "privacy", make) / "rivo.duckdb"


@pytest.fixture(scope="session")
def first_sync(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse after one sync, without models."""

    def make(folder: Path) -> None:
        with serve_store(folder / "rivo.duckdb", OPTIONS, options=SETTINGS, must_complete=True) as store:
            store.sync()

    return prepare_once(tmp_path_factory, "privacy_first_sync", make) / "rivo.duckdb"


@pytest.fixture
def open_store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[OpenStore]:
    """Open stores with an empty warehouse, or with that of the fixture named; keyword arguments are settings."""
    with ExitStack() as closing:
        opened: list[Store] = []

        def open_one(warehouse: str = "", **settings: Any) -> Store:
            path = tmp_path / f"store{len(opened)}" / "rivo.duckdb"
            path.parent.mkdir()
            if warehouse:
                shutil.copyfile(request.getfixturevalue(warehouse), path)
            served = serve_store(path, OPTIONS, options=SETTINGS | settings, must_complete=True)
            opened.append(closing.enter_context(served))
            return opened[-1]

        yield open_one

"""A store with a history, shared by the tests of this folder; a test that changes it works on a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.load.sync import SyncOptions
from sandbox import Program, ProgramOptions, serve
from tests.pipelines.privacy.store import Store

OpenStore = Callable[..., Store]
OPTIONS: dict[str, Any] = {"seed": 7, "customers": 50, "months": 5}


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse after two syncs, a week apart, with all models."""
    path = tmp_path_factory.mktemp("synced") / "rivo.duckdb"
    with serve(Program(ProgramOptions(**OPTIONS)), rate_limit=0) as server:
        store = Store(server, path)
        server.now -= timedelta(days=7)
        store.sync()
        store.wait(7)
        store.build(SyncOptions())
    return path


@pytest.fixture
def open_store(tmp_path: Path, synced: Path) -> Iterator[OpenStore]:
    """Open stores, each with a warehouse of its own: empty, or `loaded` with the two syncs."""
    closing = []

    def open_one(loaded: bool = False, **values: Any) -> Store:
        context = serve(Program(ProgramOptions(**OPTIONS)), rate_limit=0)
        server = context.__enter__()
        closing.append(context)
        path = tmp_path / f"store{len(closing)}" / "rivo.duckdb"
        path.parent.mkdir()
        if loaded:
            shutil.copyfile(synced, path)
        return Store(server, path, **values)

    yield open_one
    for context in closing:
        context.__exit__(None, None, None)

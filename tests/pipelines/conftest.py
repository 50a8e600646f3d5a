"""Small stores over real HTTP, each with a warehouse of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipelines.settings import Settings
from sandbox import Program, ProgramOptions, Server, serve
from tests.harness.prepared import prepare_once
from tests.harness.settings import shorten_retries
from tests.harness.store import Store
from tests.harness.store import open_store as serve_store


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test, nor a `.env` file in the project."""
    for name in list(os.environ):
        if name.startswith("RIVO_"):
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)


@pytest.fixture(autouse=True)
def _short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_retries(monkeypatch)


@pytest.fixture(scope="session")
def quiet_program() -> Program:
    """A program of 60 customers and half a year that no test changes."""
    return Program(ProgramOptions(seed=7, customers=60, months=6))


@pytest.fixture
def server(quiet_program: Program) -> Iterator[Server]:
    """A server of the unchanged program."""
    with serve(quiet_program, rate_limit=0) as running:
        yield running


OpenStore = Callable[..., Store]


OPTIONS: dict[str, Any] = {"seed": 7, "customers": 40, "months": 4}


@pytest.fixture(scope="session")
def first_load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse after the first sync of a store with OPTIONS: the same options give the same store again."""

    def make(folder: Path) -> None:
        with serve_store(folder / "rivo.duckdb", ProgramOptions(**OPTIONS)) as store:
            store.sync()

    return prepare_once(tmp_path_factory, "first_load", make) / "rivo.duckdb"


@pytest.fixture
def open_store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[OpenStore]:
    """Open stores, each with an empty warehouse, or with one after its first sync: `open_store(loaded=True)`."""
    with ExitStack() as closing:
        opened: list[Store] = []

        def open_one(loaded: bool = False, **options: int | bool) -> Store:
            assert not (loaded and options)
            path = tmp_path / f"store{len(opened)}" / "rivo.duckdb"
            if loaded:
                path.parent.mkdir()
                shutil.copyfile(request.getfixturevalue("first_load"), path)
            opened.append(closing.enter_context(serve_store(path, ProgramOptions(**OPTIONS | options))))
            return opened[-1]

        yield open_one

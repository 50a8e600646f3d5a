"""Small stores over real HTTP, and warehouses of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.rivo import client
from pipelines.settings import Settings
from sandbox import Program, ProgramOptions, Server, serve
from tests.pipelines.shop import Shop


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test, nor a `.env` in the project."""
    for name in list(os.environ):
        if name.startswith("RIVO_"):
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten retries in the time of one; what a server asks for by Retry-After stays as it is."""
    unhurried = client._wait
    monkeypatch.setattr(client, "_wait", lambda state: unhurried(state) / 10)


@pytest.fixture(scope="session")
def quiet_program() -> Program:
    """A store that no test changes by hand: 60 customers, half a year."""
    return Program(ProgramOptions(seed=7, customers=60, months=6))


@pytest.fixture
def server(quiet_program: Program) -> Iterator[Server]:
    """The unchanged store."""
    with serve(quiet_program, rate_limit=0) as running:
        yield running


OpenShop = Callable[..., Shop]


OPTIONS: dict[str, Any] = {"seed": 7, "customers": 40, "months": 4}


@pytest.fixture(scope="session")
def first_load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse after the first sync of the usual store: the same options give the same store again."""
    path = tmp_path_factory.mktemp("first") / "rivo.duckdb"
    with serve(Program(ProgramOptions(**OPTIONS)), rate_limit=0) as running:
        Shop(running, path).sync()
    return path


@pytest.fixture
def open_shop(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[OpenShop]:
    """Opens stores of one's own, each with a warehouse: `open_shop(loaded=True)` has seen its first sync."""
    closing = []

    def open_one(loaded: bool = False, **options: int | bool) -> Shop:
        assert not (loaded and options)
        program = Program(ProgramOptions(**OPTIONS | options))
        context = serve(program, rate_limit=0)
        running = context.__enter__()
        closing.append(context)
        path = tmp_path / f"shop{len(closing)}" / "rivo.duckdb"
        if loaded:
            path.parent.mkdir()
            shutil.copyfile(request.getfixturevalue("first_load"), path)
        return Shop(running, path)

    yield open_one
    for context in closing:
        context.__exit__(None, None, None)

"""Small stores over real HTTP, and warehouses of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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


@pytest.fixture
def open_shop(tmp_path: Path) -> Iterator[OpenShop]:
    """Opens stores of one's own, each with a warehouse: `open_shop(customers=20)`."""
    closing = []

    def open_one(program: Program | None = None, **options: int | bool) -> Shop:
        settings = {"seed": 7, "customers": 40, "months": 4, **options}
        program = program or Program(ProgramOptions(**settings))  # type: ignore[arg-type]
        context = serve(program, rate_limit=0)
        running = context.__enter__()
        closing.append(context)
        return Shop(running, tmp_path / f"shop{len(closing)}" / "rivo.duckdb")

    yield open_one
    for context in closing:
        context.__exit__(None, None, None)

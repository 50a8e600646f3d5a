"""A small store over real HTTP, and the `rivo` command in a process of its own with a user's environment."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import Program, ProgramOptions, Server, serve
from tests.harness import settings
from tests.harness.dagster import home_without_runs
from tests.harness.prepared import prepare_once
from tests.harness.settings import RIVO
from tests.harness.store import Store

__all__ = ["KEY", "RIVO", "Rivo", "environment"]

KEY = "shpka-secret-0123456789abcdef"
Rivo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server of the store."""
    with serve(Program(ProgramOptions(customers=120, months=4)), key=KEY, rate_limit=0) as server:
        yield server


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Return a user's environment with the store's key."""
    return settings.environment(home, **{"RIVO_API_KEY": KEY, **variables})


@pytest.fixture
def models() -> str:
    """The models that `rivo` knows, as dbt's selectors name them; all of them if a test does not say which."""
    return ""


@pytest.fixture
def rivo(tmp_path: Path, server: Server, models: str) -> Rivo:
    """Run `rivo ARGUMENTS` against the store; keyword arguments are further environment variables."""
    path = tmp_path / "warehouse" / "rivo.duckdb"
    return Store(server, path, {"patience_seconds": 300}, home=tmp_path, selection=models).rivo


@pytest.fixture(scope="session")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `home_without_runs`."""
    return home_without_runs(tmp_path_factory)


@pytest.fixture
def home(used_home: Path, tmp_path: Path) -> None:
    """A copy of it, in the place where `rivo` expects one: for tests of something else than the first start."""
    shutil.copytree(used_home, tmp_path / "dagster")


@pytest.fixture(scope="session")
def filled(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse after one sync, which no test may change."""

    def make(folder: Path) -> None:
        Store(server, folder / "rivo.duckdb").sync(models=True)

    return prepare_once(tmp_path_factory, "cli", make) / "rivo.duckdb"


@pytest.fixture
def warehouse(filled: Path, tmp_path: Path) -> Path:
    """A copy of it, in the place where `rivo` expects one."""
    path = tmp_path / "warehouse" / "rivo.duckdb"
    path.parent.mkdir()
    shutil.copyfile(filled, path)
    return path

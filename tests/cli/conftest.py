"""A small store over real HTTP, and the `rivo` command in a process of its own with an empty environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from dbt_like_sql.runner import load_project
from pipelines.load.sync import SyncOptions
from pipelines.settings import Settings
from runs.run import Finished, Plan, run
from sandbox import Program, ProgramOptions, Server, serve

KEY = "shpka-secret-0123456789abcdef"
RIVO = str(Path(sys.executable).parent / "rivo")
Rivo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def store() -> Iterator[Server]:
    with serve(Program(ProgramOptions(customers=120, months=4)), key=KEY, rate_limit=0) as server:
        yield server


def environment(home: Path, **settings: str) -> dict[str, str]:
    """A user's environment: nothing of whoever runs the tests but where programs are."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "RIVO_ENV_FILE": os.devnull,
        "DAGSTER_HOME": str(home / "dagster"),
        "RIVO_API_KEY": KEY,
        **settings,
    }


@pytest.fixture
def rivo(tmp_path: Path, store: Server) -> Rivo:
    """Run `rivo ARGUMENTS` against the store; keyword arguments are further settings."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        usual = {
            "RIVO_API_URL": store.url,
            "RIVO_RATE_LIMIT": "1000",
            "RIVO_WAREHOUSE": str(tmp_path / "warehouse" / "rivo.duckdb"),
        }
        return subprocess.run(
            [RIVO, *arguments],
            env=environment(tmp_path, **{**usual, **settings}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def filled(store: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse after one sync, which no test may change."""
    path = tmp_path_factory.mktemp("filled") / "rivo.duckdb"
    settings = Settings(api_key=SecretStr(KEY), api_url=store.url, warehouse=str(path), rate_limit=1000)
    project = load_project()
    *_, end = run(Plan(SyncOptions(), list(project.nodes), publish=True), settings, project)
    assert isinstance(end, Finished)
    assert end.published, end.problems
    return path


@pytest.fixture
def warehouse(filled: Path, tmp_path: Path) -> Path:
    """A copy of it, where `rivo` looks for one."""
    path = tmp_path / "warehouse" / "rivo.duckdb"
    path.parent.mkdir()
    shutil.copyfile(filled, path)
    return path

"""A small store over real HTTP, and the `rivo` command in a process of its own with an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import Program, ProgramOptions, Server, serve

KEY = "shpka-secret-0123456789abcdef"
Rivo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def store() -> Iterator[Server]:
    with serve(Program(ProgramOptions(customers=120, months=4)), key=KEY, rate_limit=0) as server:
        yield server


@pytest.fixture
def rivo(tmp_path: Path, store: Server) -> Rivo:
    """Run `rivo ARGUMENTS` against the store; keyword arguments are further settings."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "RIVO_ENV_FILE": os.devnull,
            "DAGSTER_HOME": str(tmp_path / "dagster"),
            "RIVO_API_KEY": KEY,
            "RIVO_API_URL": store.url,
            "RIVO_RATE_LIMIT": "1000",
            "RIVO_WAREHOUSE": str(tmp_path / "warehouse" / "rivo.duckdb"),
            **settings,
        }
        return subprocess.run(
            [str(Path(sys.executable).parent / "rivo"), *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run

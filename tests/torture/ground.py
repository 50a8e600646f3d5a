"""Where a kind of torture happens: a small store over real HTTP, and a folder for warehouses."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sandbox import Program, ProgramOptions, Server, serve
from tests.torture.children import PATIENCE_SECONDS, Child, Job

RIVO = [str(Path(sys.executable).parent / "rivo")]


@dataclass
class Ground:
    """A store, a folder, and chance that can be repeated."""

    server: Server
    folder: Path
    chance: random.Random

    @property
    def program(self) -> Program:
        return self.server.program

    def wait(self, days: float = 1) -> None:
        """Move the store's clock."""
        self.server.now += timedelta(days=days)

    def path(self, name: str) -> Path:
        """Where a warehouse of that name lies."""
        return self.folder / name / "rivo.duckdb"

    def job(
        self, path: Path, *, models: bool = False, full: bool = False, file_limit: int | None = None
    ) -> Job:
        """A sync of this store."""
        return Job(path, self.server.url, self.server.key, models, full, file_limit)

    def sync(self, path: Path, *, models: bool = False, full: bool = False) -> str | None:
        """One sync, to its end; the sentence it failed with."""
        return Child(self.job(path, models=models, full=full)).end()

    def environment(self, path: Path) -> dict[str, str]:
        """What the `rivo` command is to find."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(path.parent),
            "RIVO_ENV_FILE": os.devnull,
            "DAGSTER_HOME": str(path.parent / "dagster"),
            "RIVO_API_KEY": self.server.key,
            "RIVO_API_URL": self.server.url,
            "RIVO_RATE_LIMIT": "5000",
            "RIVO_PATIENCE_SECONDS": str(PATIENCE_SECONDS),
            "RIVO_LOOKBACK_DAYS": "36500",
            "RIVO_WAREHOUSE": str(path),
        }

    def rivo(self, path: Path, *arguments: str) -> subprocess.Popen[str]:
        """The command itself, Dagster included, as the head of a process group."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [*RIVO, *arguments],
            env=self.environment(path),
            cwd=path.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


@contextmanager
def ground(folder: Path, seed: int, customers: int = 40, months: int = 4) -> Iterator[Ground]:
    """A store of its own for a kind of torture."""
    program = Program(ProgramOptions(seed=seed, customers=customers, months=months))
    folder.mkdir(parents=True, exist_ok=True)
    with serve(program, rate_limit=0) as server:
        yield Ground(server, folder, random.Random(seed))

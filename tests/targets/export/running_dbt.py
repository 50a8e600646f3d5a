"""Runs dbt on an exported project, in the environment that has it."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.settings import PROJECT

ENVIRONMENT = PROJECT / ".venv-dbt" / "bin"
"""Programs of the environment that `make test-targets` installs from requirements.txt beside this file."""
_OPTIONS = ("--quiet", "--no-use-colors", "--log-level-file", "none")


@dataclass(frozen=True)
class Built:
    """The result of `dbt build`."""

    models: int
    passed: int
    warned: frozenset[str]
    """Names of the tests with severity warn that failed."""
    problems: tuple[str, ...]
    """Everything that was neither built nor passed, with its message."""

    @property
    def tests(self) -> int:
        """Number of tests that were run without an error."""
        return self.passed + len(self.warned)


def dbt_build(folder: Path, variables: dict[str, str]) -> Built:
    """Run `dbt build` in the folder of a project."""
    command = [str(ENVIRONMENT / "dbt"), *_OPTIONS, "build", "--threads", "2"]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder, variables), capture_output=True, text=True, timeout=300
    )
    results = folder / "target" / "run_results.json"
    assert results.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    assert "deprecat" not in done.stdout.lower()
    return read_results(results)


def environment(folder: Path, variables: dict[str, str]) -> dict[str, str]:
    """Return the environment of dbt: nothing of the user's but the path, and no telemetry."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DBT_PROFILES_DIR": str(folder),
        "DO_NOT_TRACK": "1",
        **variables,
    }


def read_results(file: Path) -> Built:
    """Read `run_results.json`."""
    results: list[dict[str, Any]] = json.loads(file.read_text())["results"]
    count = Counter((result["unique_id"].partition(".")[0], result["status"]) for result in results)
    problems = [
        f"{result['unique_id']}: {result['status']}: {' '.join(str(result['message']).split())[:300]}"
        for result in results
        if result["status"] not in ("success", "pass", "warn", "no-op", "skipped")
    ]
    warned = frozenset(r["unique_id"].split(".")[2] for r in results if r["status"] == "warn")
    return Built(count["model", "success"], count["test", "pass"], warned, tuple(sorted(problems)))

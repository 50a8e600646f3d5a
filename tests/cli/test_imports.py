"""Commands start quickly, since they import no large library that they do not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli import exits
from pipelines.settings import PROJECT
from tests.cli.conftest import environment

LARGE = {"dagster", "dlt", "matplotlib", "numpy", "pandas", "pyarrow", "sqlglot", "urllib3"}
COMMAND = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from cli.main import main
main()
"""


@pytest.mark.parametrize(
    ("code", "arguments"),
    [(exits.DONE, ["--help"]), (exits.DONE, ["query", "select 1"]), (exits.STALE, ["status"])],
)
def test_command_that_only_reads_imports_no_large_library(
    code: int, arguments: list[str], warehouse: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        env=environment(tmp_path, RIVO_WAREHOUSE=str(warehouse)),
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == code, done.stderr
    assert done.stdout
    assert {name.partition(".")[0] for name in done.stderr.split()} & LARGE == set()


def test_sync_imports_at_its_start_no_library_that_only_some_syncs_need(tmp_path: Path) -> None:
    rare = {"dagster_graphql", "dagster_webserver", "dlt", "matplotlib", "pandas"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys, cli.commands.run_job; print(*sys.modules)"],
        env=environment(tmp_path),
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert {name.partition(".")[0] for name in done.stdout.split()} & rare == set()

"""Benchmarks of an install with several shops."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

SHOPS = 50
PARTITIONS = 200
_QUERY = "select shop, sum(points_issued) from reports.rpt_program_monthly group by shop"
_RUNS = 5
_UNION = (
    "import time; from pipelines.settings import Settings; from runs.all_shops import shops_to_read, united; "
    "began = time.perf_counter(); union = united(shops_to_read(Settings.load())).read(); "
    f"union.execute({_QUERY!r}).fetchall(); print(time.perf_counter() - began)"
)
"""Prints the seconds in which the files of all shops are attached and a query of them is answered."""
_DEFINITIONS = (
    "import time; from assets import specs; from dbt_like_sql.runner import load_project; load_project(); "
    "began = time.perf_counter(); from assets.definitions import defs; defs.get_repository_def(); "
    "print(time.perf_counter() - began)"
)
"""Prints the seconds in which Dagster's code location is made, once its modules are imported."""


def shops() -> None:
    """A query of 50 shops of the demo's size against two seconds, and definitions with 200 shops against one."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RIVO_")},
            "RIVO_ENV_FILE": os.devnull,
            "RIVO_WAREHOUSE": f"{folder}/rivo.duckdb",
            "DAGSTER_HOME": f"{folder}/dagster",
        }
        _first_shop(Path(folder), environment)
        for number in range(1, SHOPS):
            shutil.copyfile(f"{folder}/shops/s0.duckdb", f"{folder}/shops/s{number}.duckdb")
        several = {**environment, **_variables(SHOPS)}
        one = _seconds(
            ["query", "--shop", "s0", _QUERY.replace("shop, ", "").partition(" group")[0]], several
        )
        all_of_them = _seconds(["query", "--all-shops", _QUERY], several)
        union = _timed(_UNION, several)
        few, many = (
            _timed(_DEFINITIONS, {**environment, **_variables(number)}) for number in (1, PARTITIONS)
        )
    print(
        f"  rivo query of one shop {one:.2f} s, of {SHOPS} shops {all_of_them:.2f} s, with the start of Python"
    )
    print(f"  seconds in which {SHOPS} shops are attached and answer, over 2: {union / 2:.2f} (at most 1)")
    print(f"  definitions of one shop {few:.2f} s, of {PARTITIONS} shops {many:.2f} s")
    print(f"  seconds more over 0.5: {(many - few) / 0.5:.2f} (at most 1)")


def _variables(number: int) -> dict[str, str]:
    names = [f"s{each}" for each in range(number)]
    return {
        "RIVO_SHOPS": ",".join(names),
        **{f"RIVO_SHOP_{name.upper()}_API_KEY": f"key-{name}" for name in names},
    }


def _first_shop(folder: Path, environment: Mapping[str, str]) -> None:
    """Sync a sandbox store of the demo's size into the file of the shop s0."""
    server = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", "0", "--rate-limit", "0", "--exit-with-parent"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout
        address = dict(server.stdout.readline().strip().partition("=")[::2] for _ in range(2))
        _run(["sync"], {**environment, **address, "RIVO_RATE_LIMIT": "10000"})
    finally:
        server.kill()
        server.wait()
    (folder / "shops").mkdir()
    (folder / "rivo.duckdb").rename(folder / "shops" / "s0.duckdb")


def _run(arguments: list[str], environment: Mapping[str, str]) -> None:
    rivo = Path(sys.executable).with_name("rivo")
    subprocess.run([rivo, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)


def _seconds(arguments: list[str], environment: Mapping[str, str]) -> float:
    """Return the seconds of a `rivo` command in a new process, the best of several."""
    seconds = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        _run(arguments, environment)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _timed(code: str, environment: Mapping[str, str]) -> float:
    """Return the seconds that a program prints, the best of several."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        for _ in range(_RUNS)
    ]
    return min(float(run.stdout) for run in runs)

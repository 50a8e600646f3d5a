"""Benchmarks of syncs and model builds: `make bench`, or `python -m benchmarks cost speed` for some of them.

Absolute times depend on the machine, so each benchmark prints a ratio of two measurements of the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.large import growth, models, queries
from benchmarks.shops import shops
from benchmarks.targets import targets
from cli import exits
from pipelines.network import Connection

LOAD = {"points_events": 200_000, "customers": 50_000, "points_redemptions": 40_000}
"""Rows of each list in the store that readers are compared on."""
ROWS = sum(LOAD.values())


@contextmanager
def store(latency_ms: float = 0, rate: float = 0, keep_pages: bool = False, **sizes: int) -> Iterator[str]:
    """Run a benchmark store in a process of its own; yields its address."""
    command = [sys.executable, "-m", "benchmarks.store", f"--latency-ms={latency_ms}", f"--rate={rate}"]
    command += [f"--{name}={size}" for name, size in sizes.items()]
    command += ["--keep-pages"] if keep_pages else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def read(how: str, url: str, folder: str | None = None, rate: float = 100_000) -> dict[str, float]:
    """Read the store with a reader of `benchmarks.readers`, by default into a new folder; return its figures."""
    with tempfile.TemporaryDirectory() as fresh:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.readers", how, url, folder or fresh],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            # dlt's own client would send requests for this machine to a proxy.
            env={**os.environ, "BENCH_RATE": str(rate), "no_proxy": "*"},
        )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def stats(url: str) -> dict[str, float]:
    """Return the number of requests and of refusals, and the seconds from the first to the last request."""
    answer = Connection(url.removesuffix("/merchant_api/v1")).send("GET", "/stats")
    found: dict[str, float] = json.loads(answer.data)
    return found


def cost() -> None:
    """Complete first load against the fastest possible one, without latency."""
    with store(keep_pages=True, **LOAD) as url:
        read("floor", url)  # fills the store's cache of pages
        # Alternating, best of three: other processes disturb single measurements.
        runs = [(read("floor", url), read("ours", url)) for _ in range(3)]
    floor, ours = (min(run[which]["seconds"] for run in runs) for which in (0, 1))
    print(f"  floor {floor:.1f} s, ours {ours:.1f} s for {ROWS:,} rows")
    print(f"  rows per second over the floor's: {floor / ours:.2f} (at least 0.5)")


def speed() -> None:
    """Share of the permitted request rate that is reached with 200 ms of latency."""
    events = 15 * 70 * 250
    with store(latency_ms=200, rate=16, points_events=events) as url:
        read("ours", url, rate=15)
        seen = stats(url)
    reached = seen["requests"] / seen["seconds"]
    print(f"  {seen['requests']} requests in {seen['seconds']:.1f} s, {seen['refused']} refused")
    print(f"  requests per second over the permitted 15: {reached / 15:.2f} (at least 0.95)")


def memory() -> None:
    """Peak memory for 1,000,000 events against the peak for 200,000."""
    peaks = []
    for events in (200_000, 1_000_000):
        with store(points_events=events) as url:
            peaks.append(read("ours", url)["peak_mb"])
    print(f"  peak {peaks[0]:.0f} MB at 200,000 events, {peaks[1]:.0f} MB at 1,000,000 (under 700)")
    print(f"  ratio: {peaks[1] / peaks[0]:.2f} (at most 1.2)")


def quiet_night() -> None:
    """Requests and seconds of a sync when nothing has changed."""
    with store(points_events=1_000_000, customers=50_000) as url, tempfile.TemporaryDirectory() as folder:
        first = read("ours", url, folder)
        before = stats(url)["requests"]
        quiet = read("ours", url, folder)
        made = stats(url)["requests"] - before
        least = least_requests(Path(folder) / "rivo.duckdb")
    print(f"  first load {first['seconds']:.1f} s, quiet night {quiet['seconds']:.1f} s")
    print(f"  requests over the least possible: {made} / {least} = {made / least:.3f} (at most 1)")


def least_requests(warehouse: Path) -> int:
    """Return the number of requests in which the rows of the last sync could be read, at 250 rows per request."""
    import duckdb

    from runs.status import NEWEST_READS

    with duckdb.connect(str(warehouse), read_only=True) as connection:
        row = connection.execute(
            f"select sum(ceil(greatest(rows_read, 1) / 250.0)) from ({NEWEST_READS})"
        ).fetchone()
    assert row
    return int(row[0])


def beside_rest_api() -> None:
    """First load against dlt's rest_api source with its default settings."""
    with store(keep_pages=True, **LOAD) as url:
        read("floor", url)
        ours, theirs = read("ours", url), read("rest_api", url)
    print(f"  ours {ours['seconds']:.1f} s and {ours['peak_mb']:.0f} MB")
    print(f"  rest_api {theirs['seconds']:.1f} s and {theirs['peak_mb']:.0f} MB")
    print(f"  times faster: {theirs['seconds'] / ours['seconds']:.1f} (at least 10)")


def load() -> None:
    """Load of the SQL project (parsing, dependencies, column lineage) in a new process."""
    code = (
        "import time; t = time.perf_counter(); from dbt_like_sql.runner import loading, parsing; "
        "i = time.perf_counter(); project = parsing.parse_project(loading.PROJECT); e = time.perf_counter(); "
        "print(len(project.models), sum(len(m.columns) for m in project.models), i - t, e - i)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.split()
        for _ in range(5)
    ]
    imports, loads = (min(float(run[index]) for run in runs) for index in (2, 3))
    print(f"  {runs[0][0]} models, {runs[0][1]} columns: imports {imports:.2f} s, load {loads:.2f} s")
    print(f"  seconds cold, over one second: {imports + loads:.2f} (at most 1)")


def daily() -> None:
    """Daily sync of the demo store through Dagster when nothing has changed, and cold starts of commands that read."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "sandbox", "--port", "0", "--rate-limit", "0", "--exit-with-parent"]
        server = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert server.stdout
            address = dict(server.stdout.readline().strip().partition("=")[::2] for _ in range(2))
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith("RIVO_")},
                "RIVO_ENV_FILE": os.devnull,
                "RIVO_WAREHOUSE": f"{folder}/rivo.duckdb",
                "RIVO_RATE_LIMIT": "10000",
                "DAGSTER_HOME": f"{folder}/dagster",
            }
            first, *later = [_daily({**environment, **address}) for _ in range(4)]
        finally:
            server.kill()
            server.wait()
        starts = {command: _cold_start(command, environment) for command in _COMMANDS}
    parts = min(later, key=lambda run: run["total"])
    cpu = min(run.pop("cpu") for run in later)
    total = parts.pop("total")
    for part, seconds in sorted(parts.items(), key=lambda item: -item[1]):
        print(f"  {part:<32} {seconds:6.2f} s  {seconds / total:5.0%}")
    print(f"  of the processors {cpu:.1f} s; the first sync {first['total']:.1f} s")
    print(f"  seconds over 5: {total / 5:.2f} (at most 1); {total:.1f} s")
    for (name, *_), seconds in starts.items():
        print(f"  seconds of rivo {name} over 0.4: {seconds / 0.4:.2f} (at most 1)")


def _daily(environment: dict[str, str]) -> dict[str, float]:
    """Run one sync in a new process; return its seconds by part, with the start and end of the process."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.daily"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env=environment,
    )
    seconds = time.perf_counter() - began
    parts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert parts.pop("passed")
    return {**parts, "start and end of the process": seconds - parts["total"], "total": seconds}


_COMMANDS = (("query", "select 1"), ("status",), ("--help",))
"""The commands whose start is measured."""


def _cold_start(command: Sequence[str], environment: dict[str, str]) -> float:
    """Return the seconds of a `rivo` command in a new process, the best of seven."""
    seconds = []
    for _ in range(7):
        began = time.perf_counter()
        done = subprocess.run(
            [Path(sys.executable).with_name("rivo"), *command], stdout=subprocess.DEVNULL, env=environment
        )
        seconds.append(time.perf_counter() - began)
        # The clock of the store is simulated, so `rivo status` finds the data stale.
        assert done.returncode in (exits.DONE, exits.STALE)
    return min(seconds)


BENCHMARKS: dict[str, Callable[[], None]] = {
    "cost": cost,
    "speed": speed,
    "memory": memory,
    "quiet_night": quiet_night,
    "beside_rest_api": beside_rest_api,
    "load": load,
    "models": models,
    "growth": growth,
    "queries": queries,
    "daily": daily,
    "shops": shops,
    "targets": targets,
}


def _names(arguments: Sequence[str] | None) -> list[str]:
    """Return the names on the command line, or all; exits for `--help` and unknown names."""
    described = "\n".join(f"  {name:<17}{benchmark.__doc__}" for name, benchmark in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run benchmarks. Each one prints a ratio of two measurements.",
        epilog=f"benchmarks:\n{described}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmark to run (default: all)")
    names: list[str] = parser.parse_args(arguments).names
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(
            f"There is no benchmark {', '.join(unknown)}. The benchmarks are: {', '.join(BENCHMARKS)}."
        )
    return names or list(BENCHMARKS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks named on the command line, or all."""
    for name in _names(arguments):
        print(f"{name}: {BENCHMARKS[name].__doc__}", flush=True)
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()

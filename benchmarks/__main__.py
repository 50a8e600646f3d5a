"""`make bench`: each benchmark measures against something in the same run and prints the ratio.

Machines are noisy, so absolute times mean little. `python -m benchmarks cost speed` runs some of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.models import make_raw

LOAD = {"points_events": 200_000, "customers": 50_000, "points_redemptions": 40_000}
ROWS = sum(LOAD.values())


@contextmanager
def store(latency_ms: float = 0, rate: float = 0, keep_pages: bool = False, **sizes: int) -> Iterator[str]:
    """A benchmark store in a process of its own; gives its address."""
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
    """Figures of one way to read the store, in a fresh folder or in the one given."""
    with tempfile.TemporaryDirectory() as fresh:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.readers", how, url, folder or fresh],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "BENCH_RATE": str(rate)},
        )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def stats(url: str) -> dict[str, float]:
    """How many requests the store has had, and refused, and the seconds from the first to the last."""
    with urllib.request.urlopen(url.removesuffix("/merchant_api/v1") + "/stats") as answer:
        found: dict[str, float] = json.load(answer)
    return found


def cost() -> None:
    """End to end against the floor, at no latency."""
    with store(keep_pages=True, **LOAD) as url:
        read("floor", url)  # the store makes its pages
        # In turns, and the best of three, since the machine has other work too.
        runs = [(read("floor", url), read("ours", url)) for _ in range(3)]
    floor, ours = (min(run[which]["seconds"] for run in runs) for which in (0, 1))
    print(f"  floor {floor:.1f} s, ours {ours:.1f} s for {ROWS:,} rows")
    print(f"  rows a second over the floor's: {floor / ours:.2f} (at least 0.5)")


def speed() -> None:
    """How much of the permitted rate is reached at 200 ms a request."""
    events = 15 * 70 * 250
    with store(latency_ms=200, rate=16, points_events=events) as url:
        read("ours", url, rate=15)
        seen = stats(url)
    reached = seen["requests"] / seen["seconds"]
    print(f"  {seen['requests']} requests in {seen['seconds']:.1f} s, {seen['refused']} refused")
    print(f"  requests a second over the permitted 15: {reached / 15:.2f} (at least 0.95)")


def memory() -> None:
    """Peak at a million events over the peak at 200,000."""
    peaks = []
    for events in (200_000, 1_000_000):
        with store(points_events=events) as url:
            peaks.append(read("ours", url)["peak_mb"])
    print(f"  peak {peaks[0]:.0f} MB at 200,000 events, {peaks[1]:.0f} MB at 1,000,000 (under 700)")
    print(f"  ratio: {peaks[1] / peaks[0]:.2f} (at most 1.2)")


def quiet_night() -> None:
    """Requests and seconds of a sync with nothing new."""
    with store(points_events=1_000_000, customers=50_000) as url, tempfile.TemporaryDirectory() as folder:
        first = read("ours", url, folder)
        before = stats(url)["requests"]
        quiet = read("ours", url, folder)
        made = stats(url)["requests"] - before
        least = least_requests(Path(folder) / "rivo.duckdb")
    print(f"  first load {first['seconds']:.1f} s, quiet night {quiet['seconds']:.1f} s")
    print(f"  requests over the least possible: {made} / {least} = {made / least:.3f} (at most 1)")


def least_requests(warehouse: Path) -> int:
    """The customers' pages, the rewound tails, and one request for each other list."""
    import duckdb

    with duckdb.connect(str(warehouse), read_only=True) as connection:
        row = connection.execute(
            "select sum(ceil(greatest(rows_read, 1) / 250.0)) from rivo_raw.sync_log "
            "where rowid >= (select count(*) - 7 from rivo_raw.sync_log)"
        ).fetchone()
    assert row
    return int(row[0])


def beside_rest_api() -> None:
    """The same first load through dlt's own rest_api source with its defaults."""
    with store(keep_pages=True, **LOAD) as url:
        read("floor", url)
        ours, theirs = read("ours", url), read("rest_api", url)
    print(f"  ours {ours['seconds']:.1f} s and {ours['peak_mb']:.0f} MB")
    print(f"  rest_api {theirs['seconds']:.1f} s and {theirs['peak_mb']:.0f} MB")
    print(f"  times faster: {theirs['seconds'] / ours['seconds']:.1f} (at least 10)")


def models() -> None:
    """Building all models against the same SELECTs in bare DuckDB, and ten times the ledger."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.duckdb", Path(folder) / "large.duckdb"
        make_raw(1_000_000, small)
        # In turns, and the best of three, since the machine has other work too.
        runs = [{how: built(how, small) for how in ("bare", "untested", "tested")} for _ in range(3)]
        best = {how: min(run[how]["seconds"] for run in runs) for how in runs[0]}
        cpu = {how: min(run[how]["cpu"] for run in runs) for how in runs[0]}
        entries = runs[0]["bare"]["entries"]
        print(f"  {entries:,} ledger entries: bare {best['bare']:.1f} s, ours {best['untested']:.1f} s")
        print(f"  tests: {best['tested'] - best['untested']:.1f} s more")
        print(f"  time over bare DuckDB's: {best['untested'] / best['bare']:.2f} (at most 1.15)")
        print(
            f"  of the processors: {cpu['untested'] / cpu['bare']:.2f}, which a busy machine does not change"
        )
        make_raw(10_000_000, large)
        ten = built("untested", large)
    times = ten["entries"] / entries
    slower, busier = ten["seconds"] / best["untested"] / times, ten["cpu"] / cpu["untested"] / times
    print(
        f"  {ten['entries']:,} ledger entries: {ten['seconds']:.1f} s, peak {ten['peak_mb']:,} MB (under 6,000)"
    )
    print(f"  time an entry over that at 1,000,000: {slower:.2f} (at most 1.3)")
    print(f"  of the processors: {busier:.2f}")


def built(how: str, raw: Path) -> dict[str, float]:
    """Figures of one way to build all models from a raw warehouse."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.models", how, str(raw)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def load() -> None:
    """Loading the SQL project (parse, dependencies, column lineage) in a fresh process."""
    code = (
        "import time; t = time.perf_counter(); import dbt_like_sql, yaml, sqlglot; i = time.perf_counter(); "
        "project = dbt_like_sql.load_project(); e = time.perf_counter(); "
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
    """A daily sync of the demo store through Dagster, from a cold start, with nothing new: where its time goes."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "sandbox", "--port", "0", "--rate-limit", "0", "--exit-with-parent"]
        server = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert server.stdout
            said = dict(server.stdout.readline().strip().partition("=")[::2] for _ in range(2))
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith("RIVO_")},
                **said,
                "RIVO_ENV_FILE": os.devnull,
                "RIVO_WAREHOUSE": f"{folder}/rivo.duckdb",
                "RIVO_RATE_LIMIT": "10000",
                "DAGSTER_HOME": f"{folder}/dagster",
            }
            first, *later = [_daily(environment) for _ in range(4)]
        finally:
            server.kill()
            server.wait()
    parts = min(later, key=lambda run: run["total"])
    total = parts.pop("total")
    for part, seconds in sorted(parts.items(), key=lambda item: -item[1]):
        print(f"  {part:<32} {seconds:6.2f} s  {seconds / total:5.0%}")
    print(
        f"  seconds over 20: {total / 20:.2f} (at most 1); {total:.1f} s, the first sync {first['total']:.1f} s"
    )


def _daily(environment: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.daily"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env=environment,
    )
    parts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert parts.pop("passed")
    return parts


BENCHMARKS: dict[str, Callable[[], None]] = {
    "cost": cost,
    "speed": speed,
    "memory": memory,
    "quiet_night": quiet_night,
    "beside_rest_api": beside_rest_api,
    "load": load,
    "models": models,
    "daily": daily,
}


def main() -> None:
    """Run the benchmarks named, or all."""
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"{name}: {BENCHMARKS[name].__doc__}", flush=True)
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()

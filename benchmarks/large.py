"""Benchmarks of large synthetic warehouses: how long builds take, what they grow with, and how fast queries are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.models import make_raw

_QUERIES = Path(__file__).resolve().parent.parent / "docs" / "queries.md"
_ENTRIES = (1_000_000, 10_000_000)
"""Ledger entries of the shops whose growth is measured."""
_DAILY = {
    "fct_member_daily of a day": "select * from marts.fct_member_daily where local_day = date '2026-05-05'",
    "fct_member_daily of a customer": "select * from marts.fct_member_daily where customer_id = 7198630248650",
}


def documented_queries() -> dict[str, str]:
    """Return the SQL of each query of docs/queries.md by its heading."""
    sections = re.split(r"^### ", _QUERIES.read_text(), flags=re.MULTILINE)[1:]
    return {each.partition("\n")[0]: each.split("```sql\n")[1].split("```")[0] for each in sections}


def built(how: str, raw: Path, keep: Path | None = None) -> dict[str, float]:
    """Build all models in one way of `benchmarks.models`; return its figures. `keep` gets the file."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.models", how, str(raw), *([str(keep)] if keep else [])],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def models() -> None:
    """Build of all models against the same SELECTs in bare DuckDB, and with a ledger ten times as long."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.duckdb", Path(folder) / "large.duckdb"
        make_raw(1_000_000, small)
        # Alternating, best of three: other processes disturb single measurements.
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
        f"  {ten['entries']:,} ledger entries: {ten['seconds']:.1f} s, peak {ten['peak_mb']:,} MB (under 5,000)"
    )
    print(f"  time an entry over that at 1,000,000: {slower:.2f} (at most 1.3)")
    print(f"  of the processors: {busier:.2f}")


def growth() -> None:
    """Size of the file, time and memory of a build after one and three years of daily syncs, at 1 and 10 million."""
    for entries in _ENTRIES:
        found = {}
        for years in (1, 3):
            with tempfile.TemporaryDirectory() as folder:
                raw, file = Path(folder) / "raw.duckdb", Path(folder) / "built.duckdb"
                make_raw(entries, raw, years)
                figures = built("untested", raw, keep=file)
                size, of_raw = file.stat().st_size / 1e6, raw.stat().st_size / 1e6
            found[years] = (size, figures["seconds"], figures["cpu"])
            print(
                f"  {entries:,} entries, {years} year{'s' * (years > 1)}: raw {of_raw:.0f} MB, file {size:.0f} MB; "
                f"{figures['seconds']:.1f} s, peak {figures['peak_mb']:,} MB"
            )
            print(f"  file over raw tables: {size / of_raw:.2f} (at most 4)")
        names = ("size", "seconds", "processors")
        of_years = zip(names, found[3], found[1], strict=True)
        ratios = ", ".join(f"{name} {three / one:.2f}" for name, three, one in of_years)
        print(f"  three years over one: {ratios} (at most 1.3)")


def queries() -> None:
    """Every query of docs/queries.md, and a day and a customer of fct_member_daily, at 1,000,000 ledger entries."""
    with tempfile.TemporaryDirectory() as folder:
        raw, file = Path(folder) / "raw.duckdb", Path(folder) / "built.duckdb"
        make_raw(1_000_000, raw)
        built("untested", raw, keep=file)
        with duckdb.connect(str(file), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            for allowed, wanted in ((0.3, documented_queries()), (0.1, _DAILY)):
                seconds = {title: _seconds(connection, sql) for title, sql in wanted.items()}
                for title, taken in sorted(seconds.items(), key=lambda item: -item[1]):
                    print(f"  {taken:6.3f} s  {title}")
                print(
                    f"  seconds of the slowest over {allowed}: {max(seconds.values()) / allowed:.2f} (at most 1)"
                )


def _seconds(connection: duckdb.DuckDBPyConnection, sql: str) -> float:
    """Return the best of three executions, with all rows fetched."""
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        connection.execute(sql).fetch_record_batch().read_all()
        best = min(best, time.perf_counter() - started)
    return best

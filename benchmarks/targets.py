"""Benchmarks of publishing a large warehouse to targets."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.large import built
from benchmarks.models import make_raw
from dbt_like_sql.runner import load_project
from pipelines.settings import Settings
from pipelines.target_settings import TargetSetting
from pipelines.targets.publishing import publish
from pipelines.warehouse import Warehouse

ENTRIES = 2_000_000
SCHEMAS = ("marts", "reports")
_NEXT_DAY = """
update rivo_raw.sync_log set observed_at = observed_at + interval 1 day;
insert into intermediate.int_ledger_entries by name
select * replace (event_id + 10000000000 as event_id) from intermediate.int_ledger_entries using sample 2700 rows;
update marts.dim_member set points_balance = points_balance + 1 where customer_id % 50 = 0;
"""
"""The ledger gets as many entries as on a day of the year before, and one member in fifty another balance."""


def targets() -> None:
    """Publications of 2,000,000 entries to RIVO_TARGET_... (default: a folder) against Parquet files by bare DuckDB."""
    with tempfile.TemporaryDirectory() as folder:
        raw, file = Path(folder) / "raw.duckdb", Path(folder) / "rivo.duckdb"
        make_raw(ENTRIES, raw)
        built("untested", raw, keep=file)
        raw.unlink()
        chosen = dict(Settings.load().targets) or {
            "folder": TargetSetting("folder", "parquet", f"file://{folder}/target")
        }
        floor = _floor(file, Path(folder) / "floor")
        print(f"  Parquet files by bare DuckDB {floor:.1f} s")
        first = [(name, "first", _run(file, name, target)) for name, target in chosen.items()]
        quiet = [(name, "nothing new", _run(file, name, target)) for name, target in chosen.items()]
        with duckdb.connect(str(file)) as connection:
            connection.execute(_NEXT_DAY)
        later = [(name, "the next day", _run(file, name, target)) for name, target in chosen.items()]
    for name, when, figures in [*first, *quiet, *later]:
        print(
            f"  {name:<10} {when:<13} {figures['seconds']:6.1f} s {figures['rows']:>12,.0f} rows "
            f"{figures['peak_mb']:6,.0f} MB   over bare DuckDB: {figures['seconds'] / floor:.2f}"
        )


def _floor(file: Path, folder: Path) -> float:
    """Return the seconds in which DuckDB writes each table of the schemas to a Parquet file."""
    folder.mkdir()
    with duckdb.connect(str(file), read_only=True) as connection:
        tables = connection.execute(
            f"select schema_name || '.' || table_name from duckdb_tables() where schema_name in {SCHEMAS} union all "
            f"select schema_name || '.' || view_name from duckdb_views() where schema_name in {SCHEMAS} "
            "and view_name <> 'fct_member_daily'"
        ).fetchall()
        started = time.perf_counter()
        for (table,) in tables:
            connection.execute(f"copy {table} to '{folder}/{table}.parquet'")
        return time.perf_counter() - started


def _run(file: Path, name: str, target: TargetSetting) -> dict[str, float]:
    """Publish in a process of its own, so that its memory can be measured."""
    password = target.password.get_secret_value() if target.password else ""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.targets", str(file), name, target.kind, target.url],
        input=password,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Publish FILE to the target NAME KIND URL, with its password on standard input, and print the figures."""
    from pydantic import SecretStr

    file, name, kind, url = sys.argv[1:]
    password = sys.stdin.read()
    target = TargetSetting(name, kind, url, SecretStr(password) if password else None)
    keys = {node.relation: tuple(node.texts("grain")) for node in load_project().nodes.values()}
    started = time.perf_counter()
    [done] = publish(Warehouse(Path(file)), "", [target], SCHEMAS, keys)
    seconds = time.perf_counter() - started
    assert not done.problem, done.problem
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "rows": done.rows, "peak_mb": peak}))


if __name__ == "__main__":
    main()

"""Builds all models from a synthetic raw warehouse, in a process of its own so that peak memory can be measured.

`python -m benchmarks.models HOW RAW` prints one line of JSON: wall-clock seconds, CPU seconds, ledger entries, peak
memory in MB.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import duckdb

from benchmarks.raw import fill
from dbt_like_sql.runner import Project, build, load_project
from dbt_like_sql.runner.build import MEMORY
from dbt_like_sql.runner.sql import quoted
from pipelines.warehouse.build import create_file


def bare(project: Project, connection: duckdb.DuckDBPyConnection) -> None:
    """Run the SELECTs of the models one after the other, without the runner and without models in Python."""
    connection.execute(f"set memory_limit = '{MEMORY}'")
    for schema in dict.fromkeys(node.schema for node in project.nodes.values()):
        connection.execute(f"create schema if not exists {schema}")
    for model in project.models:
        if model.language == "python":
            continue
        connection.execute(f"create or replace {model.materialized} {model.relation} as {model.code}")


def untested(project: Project, connection: duckdb.DuckDBPyConnection) -> None:
    """Build with the runner, without data tests."""
    nodes = {
        name: replace(node, data_tests=(), columns=tuple(replace(c, data_tests=()) for c in node.columns))
        for name, node in project.nodes.items()
    }
    tested(replace(project, nodes=nodes, singular_tests=()), connection)


def tested(project: Project, connection: duckdb.DuckDBPyConnection) -> None:
    """Build and test with the runner, as a sync does."""
    results = list(build(connection, project))
    failed = [f"{result.relation}: {result.message}" for result in results if not result.is_good]
    assert not failed, "\n".join(failed)


WAYS = {"bare": bare, "untested": untested, "tested": tested}


def make_raw(entries: int, path: Path, years: int = 1) -> None:
    """Write the raw warehouse that every way to build starts from, after years of daily syncs."""
    filled = path.with_name(f"{path.stem}_filled.duckdb")
    with duckdb.connect(str(filled)) as connection:
        connection.execute("set memory_limit = '2GB'")
        connection.execute("set preserve_insertion_order = false")
        fill(connection, entries, years)
        # A copy as a sync makes one, without the free blocks that the statements left.
        create_file(path)
        connection.execute(f"attach '{path}' as copy; copy from database {quoted(filled.stem)} to copy")
    filled.unlink()


def main() -> None:
    """Build in a copy of the raw warehouse, in the way named on the command line, and print the figures.

    A third argument is the file in which the result is kept.
    """
    how, path, kept = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    project = load_project()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / "build.duckdb"
        shutil.copyfile(path, copy)
        # As the working copy of a sync is opened.
        with duckdb.connect(
            str(copy), config={"temp_directory": f"{folder}/spill", "preserve_insertion_order": False}
        ) as connection:
            connection.execute("set global TimeZone = 'UTC'")
            list(build(connection, project, [seed.name for seed in project.seeds]))
            started, cpu_before = time.perf_counter(), time.process_time()
            WAYS[how](project, connection)
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_before
            [[entries]] = connection.execute(
                "select count(*) from intermediate.int_ledger_entries"
            ).fetchall()
        for target in kept:
            shutil.move(copy, target)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {"seconds": round(seconds, 3), "cpu": round(cpu, 3), "entries": entries, "peak_mb": round(peak)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

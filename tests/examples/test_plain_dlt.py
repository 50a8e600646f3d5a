"""The example that loads Rivo's lists with dlt alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb

from examples.plain_dlt import load
from pipelines.rivo.endpoints import ENDPOINTS
from sandbox import Program, ProgramOptions, serve


def test_plain_dlt_loads_every_list_twice_with_the_counts_of_the_store(tmp_path: Path) -> None:
    program = Program(ProgramOptions(customers=40, months=3))
    with serve(program, rate_limit=0) as store:
        store.now -= timedelta(days=7)
        before = load(tmp_path, store.key, store.url)
        store.now += timedelta(days=7)
        after = load(tmp_path, store.key, store.url)
        again = load(tmp_path, store.key, store.url)
        lists = program.snapshot(store.now)

    counts = {name: len(lists[name]) for name in ENDPOINTS}
    assert before["duckdb"]["points_events"] < counts["points_events"], "or nothing was to be merged"
    assert after == again == {"duckdb": counts, "parquet": counts}
    with duckdb.connect(str(tmp_path / "rivo.duckdb"), read_only=True) as connection:
        tallies = dict(connection.execute("select id, points_tally from loyalty.customers").fetchall())
    assert tallies == {row["id"]: row["attributes"]["points_tally"] for row in lists["customers"]}

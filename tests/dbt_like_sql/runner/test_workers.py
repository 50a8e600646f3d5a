from __future__ import annotations

import threading
import time
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.runner import build, load_project, resources

from .building import run, statuses
from .conftest import Write

SLOW = "select count(*) as n from range(1_000_000) as a, range(1_000_000) as b where a.range + b.range < 0"


@pytest.fixture(autouse=True)
def _two_threads(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("set threads = 2")


def meeting(connection: duckdb.DuckDBPyConnection, *, seconds: float) -> None:
    """Create the function `meet(n)`, which waits until another call of it is running."""
    barrier = threading.Barrier(2, timeout=seconds)

    def meet(number: int) -> int:
        barrier.wait()
        return number

    connection.create_function("meet", meet, side_effects=True)


def test_models_that_do_not_depend_on_each_other_are_built_at_the_same_time(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    meeting(connection, seconds=30)
    root = write({f"models/marts/fct_{name}.sql": "select meet(1) as n" for name in "ab"})
    assert {r.name: r.message for r in build(connection, load_project(root))} == {"fct_a": "", "fct_b": ""}


def test_models_of_very_large_tables_are_built_one_after_the_other(
    connection: duckdb.DuckDBPyConnection, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "ROWS_TO_BUILD_ALONE", 2)
    meeting(connection, seconds=1)
    root = write({f"models/marts/fct_{name}.sql": "select meet(1) as n" for name in "ab"})
    assert set(statuses(run(connection, root)).values()) == {"error"}


def test_results_come_in_the_order_of_the_project(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(
        {
            "models/marts/fct_a.sql": "select sum(range * range) as n from range(3_000_000)",
            **{f"models/marts/fct_{name}.sql": "select 1 as n" for name in "bcd"},
            "models/reports/rpt_b.sql": "select n from marts.fct_b",
        }
    )
    names = [result.name for result in build(connection, load_project(root))]
    assert names == ["fct_a", "fct_b", "fct_c", "fct_d", "rpt_b"]


def test_a_model_waits_for_the_tests_of_what_it_reads(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(
        {
            "models/marts/fct_a.sql": "select 1 as n",
            "models/marts/fct_b.sql": "select n from marts.fct_a",
            "models/marts/fct_c.sql": "select 1 as n",
            # A test that takes a while and then fails.
            "tests/sums.sql": "select n from marts.fct_a where (select sum(range) from range(3_000_000)) > 0",
        }
    )
    found = run(connection, root)
    assert statuses(found) == {"fct_a": "failed", "fct_b": "skipped", "fct_c": "success"}
    assert found["fct_b"].message == "Skipped because marts.fct_a failed."


def test_a_build_that_is_given_up_interrupts_what_is_running(
    connection: duckdb.DuckDBPyConnection, write: Write, tmp_path: Path
) -> None:
    root = write({"models/marts/fct_a.sql": "select 1 as n", "models/marts/fct_b.sql": SLOW})
    results = build(connection, load_project(root))
    assert next(results).name == "fct_a"
    started = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 10
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("build")]
    # No connection is left that would keep the log from being merged into the file.
    connection.close()
    assert not (tmp_path / "working.duckdb.wal").exists()


def test_a_model_in_python_runs_in_the_thread_of_the_caller(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    code = """
        import threading

        import pandas as pd

        def model(fct_a):
            return pd.DataFrame({"thread": [threading.current_thread().name]})
        """
    root = write({"models/marts/fct_a.sql": "select 1 as n", "models/marts/fct_b.py": code})
    assert run(connection, root)["fct_b"].status == "success"
    name = threading.current_thread().name
    assert connection.execute("select thread from marts.fct_b").fetchall() == [(name,)]

"""Deletion of old runs from Dagster's storage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from tests.assets.conftest import House


@dg.op
def speak() -> None:
    """An op of another project."""


@dg.job
def theirs() -> None:
    """A job of another project with the same storage."""
    speak()


def aged(house: House, days: int) -> list[str]:
    """Set the age of all runs to a number of days, and return their ids, oldest first."""
    with closing(sqlite3.connect(house.folder / "dagster" / "history" / "runs.db")) as runs, runs:
        runs.execute("update runs set create_timestamp = datetime('now', ?)", [f"-{days} days"])
    return [run.run_id for run in reversed(house.instance.get_runs())]


def events(house: House, run_id: str) -> int:
    """Return the number of rows of a run in the database that all runs share."""
    tables = ("event_logs", "asset_check_executions")
    with closing(sqlite3.connect(house.folder / "dagster" / "history" / "runs" / "index.db")) as index:
        counts = [
            index.execute(f"select count(*) from {table} where run_id = ?", [run_id]) for table in tables
        ]
        return sum(count.fetchone()[0] for count in counts)


def files(house: House, run_id: str) -> list[Path]:
    return list((house.folder / "dagster" / "history" / "runs").glob(f"{run_id}*"))


def test_old_runs_are_deleted_except_those_with_a_last_materialization(house: House) -> None:
    assert theirs.execute_in_process(instance=house.instance).success
    first, second, foreign = aged(house, 91)
    assert events(house, first)
    assert house.run(job="models_only").success

    assert not house.instance.get_run_by_id(first)
    assert events(house, first) == 0
    assert files(house, first) == []
    # The lists were last read in the second run. The run of another project stays, too.
    assert house.instance.get_run_by_id(second)
    assert events(house, second)
    assert house.instance.get_run_by_id(foreign)

    house.wait(1)
    assert house.run().success
    assert house.instance.get_run_by_id(second)
    assert house.run().success
    assert not house.instance.get_run_by_id(second)
    assert files(house, second) == []
    assert house.instance.get_run_by_id(foreign)


@pytest.mark.parametrize("days", [0, 92])
def test_younger_runs_are_kept(house: House, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    monkeypatch.setenv("RIVO_KEEP_RUNS_DAYS", str(days))
    runs = aged(house, 91)
    assert house.run(job="models_only").success
    assert all(map(house.instance.get_run_by_id, runs))
    assert len(house.instance.get_runs()) == len(runs) + 1

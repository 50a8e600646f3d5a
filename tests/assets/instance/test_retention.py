"""Deletion of old runs from Dagster's storage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from assets.definitions import defs
from tests.harness.dagster import DagsterStore


@dg.op
def speak() -> None:
    """An op of another project."""


@dg.job
def theirs() -> None:
    """A job of another project with the same storage."""
    speak()


@dg.op
def materialize_everything(context) -> None:  # type: ignore[no-untyped-def]
    """Leave a materialization of each asset, as a run of the whole job does, without the work."""
    # The context has no annotation, since Dagster reads it and cannot where annotations are texts.
    for key in defs.resolve_asset_graph().materializable_asset_keys:
        context.log_event(dg.AssetMaterialization(key))


@dg.job
def everything() -> None:
    """A run after which no older run holds a last materialization."""
    materialize_everything()


def aged(store: DagsterStore, days: int) -> list[str]:
    """Set the age of all runs to a number of days, and return their ids, oldest first."""
    with closing(sqlite3.connect(store.folder / "dagster" / "history" / "runs.db")) as runs, runs:
        runs.execute("update runs set create_timestamp = datetime('now', ?)", [f"-{days} days"])
    return [run.run_id for run in reversed(store.instance.get_runs())]


def events(store: DagsterStore, run_id: str) -> int:
    """Return the number of rows of a run in the database that all runs share."""
    tables = ("event_logs", "asset_check_executions")
    with closing(sqlite3.connect(store.folder / "dagster" / "history" / "runs" / "index.db")) as index:
        counts = [
            index.execute(f"select count(*) from {table} where run_id = ?", [run_id]) for table in tables
        ]
        return sum(count.fetchone()[0] for count in counts)


def files(store: DagsterStore, run_id: str) -> list[Path]:
    return list((store.folder / "dagster" / "history" / "runs").glob(f"{run_id}*"))


def run_little(store: DagsterStore) -> bool:
    """Run the smallest part of the job that deletes old runs: one list. Return whether it succeeded."""
    return store.run_job("rivo_raw/vip_tiers").success


def test_old_runs_are_deleted_except_those_with_a_last_materialization(store: DagsterStore) -> None:
    assert theirs.execute_in_process(instance=store.instance).success
    first, second, foreign = aged(store, 91)
    assert events(store, first)
    assert run_little(store)

    assert not store.instance.get_run_by_id(first)
    assert events(store, first) == 0
    assert files(store, first) == []
    # The other lists were last read in the second run. The run of another project stays, too.
    assert store.instance.get_run_by_id(second)
    assert events(store, second)
    assert store.instance.get_run_by_id(foreign)

    assert everything.execute_in_process(instance=store.instance).success
    assert store.instance.get_run_by_id(second)
    assert run_little(store)
    assert not store.instance.get_run_by_id(second)
    assert files(store, second) == []
    assert store.instance.get_run_by_id(foreign)


@pytest.mark.parametrize("days", [0, 92])
def test_younger_runs_are_kept(store: DagsterStore, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    monkeypatch.setenv("RIVO_KEEP_RUNS_DAYS", str(days))
    runs = aged(store, 91)
    assert run_little(store)
    assert all(map(store.instance.get_run_by_id, runs))
    assert len(store.instance.get_runs()) == len(runs) + 1

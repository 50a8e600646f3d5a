"""A publication that is killed at any moment, and two at once: readers see one day, whole, and never an older one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import psycopg
import pytest

from pipelines.target_settings import TargetSetting
from pipelines.targets import ducklake
from pipelines.targets.publishing import publish
from tests.targets.databases import Database
from tests.targets.lakes import in_lake, opened_lake, parquet_files
from tests.targets.publisher import publisher
from tests.targets.test_postgres import NEW
from tests.targets.warehouses import KEYS, SCHEMAS, publish_day

KILLS = 20
_DAYS = """
select distinct day from {0}marts.dim_member union all select distinct day from {0}marts.fct_member_span
union all select day from {0}reports.rpt_day union all select distinct day from {0}marts.fct_ledger
"""
KINDS = ("postgres", "ducklake")
_MOMENT = {"postgres": 0.15, "ducklake": 0.6}
"""Longest time after which a process is killed: about that of a publication."""


def target_of(kind: str, database: Database, folder: Path) -> TargetSetting:
    return database.target() if kind == "postgres" else database.lake(str(folder / "lake"))


@contextmanager
def reading(kind: str, database: Database) -> Iterator[Callable[[], list[int]]]:
    """Give a function that returns the day of each table, all read in one transaction."""
    if kind == "postgres":
        with database.connect() as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

            def in_postgres() -> list[int]:
                with connection.transaction():
                    return [day for (day,) in connection.execute(_DAYS.format("")).fetchall()]

            yield in_postgres
    else:
        with opened_lake(database) as lake:

            def in_lake_() -> list[int]:
                lake.execute("begin")
                try:
                    return [day for (day,) in lake.execute(_DAYS.format("lake.")).fetchall()]
                finally:
                    lake.execute("rollback")

            yield in_lake_


@pytest.mark.parametrize("kind", KINDS)
def test_killed_publications_leave_one_day(tmp_path: Path, database: Database, kind: str) -> None:
    target = target_of(kind, database, tmp_path)
    [done] = publish(publish_day(tmp_path / "w"), "", [target], SCHEMAS, KEYS)
    assert done.problem == ""
    seen: list[list[int]] = []
    stop = threading.Event()

    def read() -> None:
        with reading(kind, database) as days:
            while not stop.is_set():
                seen.append(days())
                time.sleep(0.01)

    reader = threading.Thread(target=read)
    reader.start()
    random, day = Random(7), 1
    try:
        for number in range(KILLS):
            with publisher(tmp_path / "w", target, day, day + 1000) as running:
                if number % 4 == 0:
                    assert running.done() == day
                    day += 1
                time.sleep(random.uniform(0.02, _MOMENT[kind]))
                running.kill()
            # The day may have been committed just before.
            day += 1
    finally:
        stop.set()
        reader.join()
    assert all(len(days) == 4 and len(set(days)) == 1 for days in seen)
    firsts = [days[0] for days in seen]
    assert firsts == sorted(firsts)
    assert len(set(firsts)) >= KILLS // 4
    [done] = publish(publish_day(tmp_path / "w", day + 1), "", [target], SCHEMAS, KEYS)
    assert done.problem == ""
    with reading(kind, database) as days:
        assert set(days()) == {day + 1}


def test_files_of_killed_publications_are_deleted(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = target_of("ducklake", database, tmp_path)
    list(publish(publish_day(tmp_path / "w"), "", [target], SCHEMAS, KEYS))
    orphan = tmp_path / "lake" / "rivo" / "marts" / "dim_member" / "ducklake-of-a-killed-publication.parquet"
    orphan.write_bytes(parquet_files(tmp_path / "lake")[0].read_bytes())
    monkeypatch.setattr(ducklake, "_MAINTENANCE", ducklake.KEEP * 0)
    list(publish(publish_day(tmp_path / "w", 1), "", [target], SCHEMAS, KEYS))
    # It might be of a publication that still goes on.
    assert orphan.exists()
    monkeypatch.setattr(ducklake, "_ORPHAN", ducklake.KEEP * 0)
    list(publish(publish_day(tmp_path / "w", 2), "", [target], SCHEMAS, KEYS))
    assert not orphan.exists()
    assert len(in_lake(database, 'select "table" from rivo_meta.published')) == NEW


@pytest.mark.parametrize("kind", KINDS)
def test_two_publishers_at_once_leave_the_newest_day(tmp_path: Path, database: Database, kind: str) -> None:
    target = target_of(kind, database, tmp_path)
    list(publish(publish_day(tmp_path / "w"), "", [target], SCHEMAS, KEYS))
    # Each has its own copy of the warehouse, as on two machines.
    with publisher(tmp_path / "one", target, 1, 6) as one, publisher(tmp_path / "two", target, 1, 6) as two:
        said = [list(iter(each.done, None)) for each in (one, two)]
    assert [len(each) for each in said] == [5, 5]
    problems = [str(text) for each in said for text in each if not isinstance(text, int)]
    assert all("holds newer data" in text or "at the same time" in text for text in problems)
    with reading(kind, database) as days:
        assert len(set(days())) == 1
    [done] = publish(publish_day(tmp_path / "one", 6), "", [target], SCHEMAS, KEYS)
    assert done.problem == ""

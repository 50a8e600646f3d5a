"""Parquet files over many days: few are left, and a reader sees one day whatever is killed."""

from __future__ import annotations

import os
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.targets import parquet
from tests.targets.killing import Child
from tests.targets.parquet_readers import FOLDER, Place, publish_day_to, publish_files
from tests.targets.warehouses import publish_day

CHANGED = 6
"""Number of files that a day replaces: those of five tables, and of the mark."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place((tmp_path / FOLDER).as_uri(), tmp_path / "copies")


def test_thirty_days_leave_files_of_a_week(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = timedelta()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + passed

    monkeypatch.setattr(parquet, "datetime", Clock)
    counts, folders = [], []
    for day in range(30):
        assert publish_files(publish_day(tmp_path / "warehouse", day, members=5), place).problem == ""
        counts.append(len(place.list_keys()))
        folders.append(len(list((tmp_path / FOLDER / "publications").iterdir())))
        passed += timedelta(days=1)
        for key in place.list_keys():
            file = tmp_path / FOLDER / key
            os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 24 * 3600))
    live = len(place.current()["tables"])
    # Those of today and of the seven days before it, and the pointer.
    assert counts[-1] == live + 7 * CHANGED + 1
    assert max(counts) <= live + 8 * CHANGED + 1
    # The first day's is still there, with the tables that have never changed.
    assert folders[-1] <= 10
    assert place.rows("reports.rpt_day", "select day from rows") == [(29,)]


def test_reader_sees_one_day_while_publications_are_killed(tmp_path: Path, place: Place) -> None:
    publish_files(publish_day(tmp_path / "warehouse"), place)
    seen: list[tuple[int, ...]] = []
    errors: list[Exception] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                seen.append(days_of(place))
            except Exception as error:
                errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    codes = []
    try:
        for rename in range(1, 30):
            child = Child(
                publish_day_to, tmp_path / "warehouse", place, rename, environment={}, rename=rename
            )
            codes.append(child.end())
            if codes[-1] == 0:
                break
    finally:
        stop.set()
        reader.join()
    assert errors == []
    assert codes == [-9] * (len(codes) - 1) + [0]
    assert len(codes) > 5
    assert [days for days in seen if len(set(days)) > 1] == []
    assert [days[0] for days in seen] == sorted(days[0] for days in seen)
    assert len(seen) > len(codes)
    assert days_of(place) == (rename, rename, rename)


def days_of(place: Place) -> tuple[int, ...]:
    """Return the days of two tables and of the pointer, as a reader that reads the pointer once."""
    current = place.current()
    files = {f"{table['schema']}.{table['name']}": table["files"] for table in current["tables"]}
    with duckdb.connect() as connection:
        days = [
            connection.execute("select distinct day from read_parquet(?)", [files[name]]).fetchall()
            for name in ("marts.dim_member", "reports.rpt_day")
        ]
    observed = datetime.fromisoformat(current["observed_at"])
    first = datetime(2026, 9, 1, 3, tzinfo=observed.tzinfo)
    return (*(day for rows in days for (day,) in rows), (observed - first).days)

"""The Python snippets of docs/reading.md run as they are on the file and on a PostgreSQL target."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pytest

from pipelines.targets.publishing import publish
from pipelines.warehouse import Warehouse
from tests.harness.postgres_server import PASSWORD
from tests.targets.databases import Database
from tests.targets.warehouses import FIRST_DAY, KEYS, SCHEMAS, publish_day

PAGE = Path(__file__).parents[2] / "docs" / "reading.md"
FILE, TARGET, ENGINE, WORKBOOK = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
"""The snippets of the page, in its order."""
ENTRIES = 50
LEDGER = f"""
create table marts.fct_points_ledger as
select
    'entry ' || id as entry_id,
    (id / 4)::decimal(18, 4) as amount,
    timestamptz '2026-09-01 22:30:00+00' + to_hours(id) as entry_at
from range({ENTRIES}) as t(id)
"""
TIMES = [
    datetime.fromisoformat("2026-09-01T22:30:00+00:00") + timedelta(hours=hour) for hour in range(ENTRIES)
]


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Return a warehouse with a ledger, where the page says that it is."""
    made = publish_day(tmp_path / "data", members=10)
    with duckdb.connect(str(made.path)) as connection:
        connection.execute(LEDGER)
    monkeypatch.chdir(tmp_path)
    # Another zone than UTC, so that a snippet that does not set it is found.
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    return made


def run(snippet: str) -> dict[str, Any]:
    """Run a snippet and return its variables."""
    names: dict[str, Any] = {}
    exec(compile(snippet, str(PAGE), "exec"), names)
    return names


def assert_frames(names: dict[str, Any]) -> None:
    """Assert that the frames of pandas and polars have the rows, times in UTC, and decimals as the page says."""
    pandas_frame, polars_frame = names["pandas_frame"], names["polars_frame"]
    assert polars_frame["entry_at"].to_list() == TIMES
    assert pandas_frame["entry_at"].tolist() == TIMES
    assert str(pandas_frame["entry_at"].dt.tz) == "UTC"
    assert polars_frame.schema["entry_at"].time_zone == "UTC"
    assert pandas_frame["amount"].tolist() == [number / 4 for number in range(ENTRIES)]
    assert polars_frame["amount"].to_list() == [Decimal(number) / 4 for number in range(ENTRIES)]


@pytest.mark.usefixtures("warehouse")
def test_reading_page_opens_file_in_pandas_and_polars() -> None:
    assert_frames(run(FILE))


def test_reading_page_opens_postgres_in_pandas_and_polars(
    warehouse: Warehouse, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    [publication] = publish(warehouse, "", [database.target()], SCHEMAS, KEYS)
    assert publication.problem == ""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    server = f"dagster@127.0.0.1:{database.server.port}/{database.name}"

    names = run(TARGET.replace("analyst@db.example:5432/loyalty", server))

    assert_frames(names)
    assert names["newest"] == FIRST_DAY


@pytest.mark.usefixtures("warehouse")
def test_reading_page_opens_file_in_sqlalchemy() -> None:
    assert run(ENGINE)["entries"] == ENTRIES


@pytest.mark.usefixtures("warehouse")
def test_reading_page_writes_workbook_with_times_in_utc() -> None:
    run(WORKBOOK)

    ledger = pandas.read_excel("ledger.xlsx")
    assert ledger.columns.tolist() == ["entry_id", "amount", "entry_at"]
    assert ledger["entry_at"].tolist() == [time.replace(tzinfo=None) for time in TIMES]

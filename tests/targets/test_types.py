"""Types that only a user's own models have: every target keeps their values, as text if need be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.targets.publishing import publish
from pipelines.warehouse import Warehouse
from tests.targets.databases import Database
from tests.targets.dlt_destinations import DltDestination
from tests.targets.lakes import in_lake
from tests.targets.parquet_readers import Place, publish_files
from tests.targets.warehouses import KEYS, SCHEMAS, publish_day

MADE = r"""
create type reports.mood as enum ('it''s', 'fine');
create table reports.rpt_types as select
    i::bigint as id,
    case i when 0 then 'it''s' when 1 then 'fine' end::reports.mood as mood,
    case i when 0 then '10101' when 1 then '0' end::bit as bits,
    case i when 0 then interval '-1 month 3 days -04:05:06.7' when 1 then interval '400 days' end as span,
    case i when 0 then '23:59:59+02' when 1 then '00:00:00-15:59' end::timetz as clock,
    case i when 0 then timestamp_ns '2026-01-01 00:00:00.123456789' when 1 then timestamp_ns '1969-12-31 23:59:59' end
        as precise,
    case i when 0 then '-123456789012345678901234567890123456789012345' end::bignum as big,
    case i when 0 then '\xAA\x00''\x5C'::blob when 1 then ''::blob end as content
from range(3) r(i)
"""
TEXTS = "id, mood, bits, span, clock, cast(precise as varchar), big"
EXPECTED = [
    (
        0,
        "it's",
        "10101",
        "-1 month 3 days -04:05:06.7",
        "23:59:59+02",
        "2026-01-01 00:00:00.123456",
        "-123456789012345678901234567890123456789012345",
    ),
    (1, "fine", "0", "400 days", "00:00:00-15:59", "1969-12-31 23:59:59", None),
    (2, None, None, None, None, None, None),
]
BYTES = [b"\xaa\x00'\\", b"", None]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    made = publish_day(tmp_path / "warehouse")
    with duckdb.connect(str(made.path)) as connection:
        connection.execute(MADE)
    return made


def check(texts: list[tuple[Any, ...]], contents: list[tuple[Any, ...]]) -> None:
    assert texts == EXPECTED
    assert [None if content is None else bytes(content) for (content,) in contents] == BYTES


@pytest.mark.parametrize("limit", [1_000_000, 0], ids=["whole", "by ranges"])
def test_postgres_keeps_values_of_every_type(
    warehouse: Warehouse, database: Database, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("pipelines.targets.postgres.LARGE_ROWS", limit)
    for changed in (0, 1):
        [done] = publish(warehouse, "", [database.target()], SCHEMAS, {**KEYS, "reports.rpt_types": ("id",)})
        # An unchanged table is one whose fingerprint is the same when the file is opened again.
        assert (done.problem, min(done.written, 1)) == ("", 1 - changed)
        check(
            database.rows(f"select {TEXTS} from reports.rpt_types order by id"),
            database.rows("select content from reports.rpt_types order by id"),
        )
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("update reports.rpt_types set mood = 'fine', span = interval '1 day' where id = 2")
    [done] = publish(warehouse, "", [database.target()], SCHEMAS, {**KEYS, "reports.rpt_types": ("id",)})
    assert (done.problem, done.written, done.rows) == ("", 1, 1)
    assert database.rows("select mood, span from reports.rpt_types where id = 2") == [("fine", "1 day")]


def test_lake_keeps_values_of_every_type(warehouse: Warehouse, database: Database, tmp_path: Path) -> None:
    [done] = publish(warehouse, "", [database.lake(str(tmp_path / "lake"))], SCHEMAS, KEYS)
    assert done.problem == ""
    check(
        in_lake(database, f"select {TEXTS} from reports.rpt_types order by id"),
        in_lake(database, "select content from reports.rpt_types order by id"),
    )


def test_files_keep_values_of_every_type(warehouse: Warehouse, tmp_path: Path) -> None:
    place = Place((tmp_path / "files").as_uri(), tmp_path / "copies")
    assert publish_files(warehouse, place).problem == ""
    check(
        place.rows("reports.rpt_types", f"select {TEXTS} from rows order by id"),
        place.rows("reports.rpt_types", "select content from rows order by id"),
    )


@pytest.mark.parametrize("destination", ["duckdb", "postgres"], indirect=True)
def test_destination_keeps_values_of_every_type(warehouse: Warehouse, destination: DltDestination) -> None:
    [done] = publish(warehouse, "", [destination.target], SCHEMAS, KEYS)
    assert done.problem == ""
    check(
        destination.rows("reports.rpt_types order by id", TEXTS),
        destination.rows("reports.rpt_types order by id", "content"),
    )

"""A target in Parquet files: immutable files, a pointer to them, nothing that readers still need is deleted."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pyarrow.parquet as pq
import pytest

from pipelines.errors import command
from pipelines.settings import PROJECT
from pipelines.targets import parquet, parquet_files
from pipelines.targets.publication import Publication
from pipelines.warehouse import Warehouse
from tests.targets.killing import Child, killed_at_request
from tests.targets.parquet_readers import FOLDER, Place, publish_day_to, publish_files
from tests.targets.s3 import BUCKET, KEY_ID, S3, SECRET
from tests.targets.test_postgres import comparable, in_file
from tests.targets.warehouses import ADDRESS, FIRST_DAY, publish_day

TABLES = (
    "marts.dim_member",
    "marts.fct_ledger",
    "marts.fct_empty",
    "reports.rpt_day",
    "reports.rpt_constant",
)


@pytest.fixture(params=["s3", "folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    copies = tmp_path / "copies"
    if request.param == "s3":
        return Place(f"s3://{BUCKET}/{FOLDER}", copies, request.getfixturevalue("s3"))
    return Place((tmp_path / FOLDER).as_uri(), copies)


@pytest.fixture
def in_s3(s3: S3, tmp_path: Path) -> Place:
    return Place(f"s3://{BUCKET}/{FOLDER}", tmp_path / "copies", s3)


def test_files_have_rows_types_and_descriptions_of_the_warehouse(tmp_path: Path, place: Place) -> None:
    warehouse = publish_day(tmp_path / "warehouse")
    assert publish_files(warehouse, place).problem == ""
    types = "select column_name, replace(column_type, 'HUGEINT', 'DECIMAL(38,0)') from (describe from {})"
    for table in TABLES:
        assert comparable(place.rows(table)) == comparable(in_file(warehouse, f"from {table}"))
        assert place.rows(table, types.format("rows")) == in_file(warehouse, types.format(table))
    described = place.metadata("marts.dim_member")
    assert described["rivo.description"] == 'One row per member: "quoted", it\'s so.'
    assert json.loads(described["rivo.columns"]) == {"email": "E-mail address, with 'quotes'."}
    listed = {f"{table['schema']}.{table['name']}" for table in place.current()["tables"]}
    assert listed == {*TABLES, "marts.dim_date", "marts.fct_member_span", "rivo_meta.published"}


def test_examples_of_the_documentation_read_the_files(tmp_path: Path) -> None:
    place = Place((tmp_path / FOLDER).as_uri(), tmp_path)
    publish_files(publish_day(tmp_path / "warehouse", 1), place)
    text = (PROJECT / "docs" / "targets-parquet.md").read_text()
    text = text.replace("s3://bucket/loyalty", place.place).replace("rpt_tier_migration", "rpt_day")
    [sql] = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    [python] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    python = python.replace("marts.dim_tier", "marts.dim_member").partition("members = spark")[0]
    with duckdb.connect() as connection:
        assert connection.execute(sql).fetchall() == [(1, "report of day 1")]
    names: dict[str, Any] = {"pandas": pandas}
    exec(python, names)
    assert len(names["tiers"]) == 301


def test_mark_lists_the_tables(tmp_path: Path, place: Place) -> None:
    warehouse = publish_day(tmp_path / "warehouse", 1)
    publish_files(warehouse, place)
    rows = place.rows(
        "rivo_meta.published", 'select "table", rows, observed_at::varchar, shop, warehouse_id from rows'
    )
    assert ("marts.dim_member", 301, "2026-09-02 03:00:00+00", "", "first-warehouse") in rows
    assert len(rows) == len(place.current()["tables"]) - 1


def test_tables_that_have_not_changed_keep_their_files(tmp_path: Path, place: Place) -> None:
    publish_files(publish_day(tmp_path / "warehouse"), place)
    before = {table: place.files(table) for table in TABLES}
    second = publish_files(publish_day(tmp_path / "warehouse", 1), place)
    changed = {table for table in TABLES if place.files(table) != before[table]}
    assert changed == {"marts.dim_member", "marts.fct_ledger", "reports.rpt_day"}
    # Dates and spans change too.
    assert (second.written, second.unchanged) == (5, 2)
    again = publish_files(Warehouse(tmp_path / "warehouse" / "rivo.duckdb"), place)
    assert (again.written, again.unchanged, again.rows) == (0, 7, 0)


def test_files_and_folders_have_names_that_spark_reads(tmp_path: Path, place: Place) -> None:
    warehouse = publish_day(tmp_path / "warehouse")
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("create table rivo_raw._quarantine as select 1::bigint as id, '' as _hidden")
    publish_files(warehouse, place, schemas=("rivo_raw",))
    assert "/rivo_raw/quarantine_/" in place.files("rivo_raw._quarantine")[0]
    parts = {part for key in place.list_keys() for part in key.split("/")}
    assert not [part for part in parts if part.startswith(("_", "."))]


def test_two_tables_that_would_share_a_folder_are_refused(tmp_path: Path, place: Place) -> None:
    warehouse = publish_day(tmp_path / "warehouse")
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("create table marts._x as select 1 as id; create table marts.x_ as select 1 as id")
    assert "two tables would have the folder marts/x_" in publish_files(warehouse, place).problem


def test_large_tables_are_split_by_month_and_only_changed_months_are_written(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_files, "LARGE_ROWS", 200_000)
    warehouse = publish_day(tmp_path / "warehouse")
    _fill(
        warehouse,
        "select i::bigint as entry_id, date '2026-01-01' + (i // 3000)::integer as entry_date, "
        "i::hugeint as huge from range(300000) as t(i) union all select -1, null, 0",
    )
    publish_files(warehouse, place)
    first = place.files("marts.large")
    assert [Path(key).name for key in first] == [
        "2026-01-001.parquet",
        "2026-02-001.parquet",
        "2026-03-001.parquet",
        "2026-04-001.parquet",
        "rows-001.parquet",
    ]
    assert place.rows("marts.large", "select count(*), sum(huge) from rows") == [(300_001, 44999850000)]
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("update marts.large set huge = 1 where entry_id = 299999")
    assert publish_files(warehouse, place).rows == 30_000
    second = place.files("marts.large")
    assert [Path(key).name for key in second] == [Path(key).name for key in first]
    assert [old == new for old, new in zip(first, second, strict=True)] == [True, True, True, False, True]


def test_large_tables_without_a_day_are_split_by_rows(
    tmp_path: Path, in_s3: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_files, "LARGE_ROWS", 200_000)
    warehouse = publish_day(tmp_path / "warehouse")
    _fill(warehouse, "select i::bigint as id from range(900000) as t(i)")
    publish_files(warehouse, in_s3)
    assert len(in_s3.files("marts.large")) > 1
    assert in_s3.rows("marts.large", "select count(*), count(distinct id) from rows") == [(900_000, 900_000)]


def _fill(warehouse: Warehouse, sql: str) -> None:
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute(f"create table marts.large as {sql}")


def test_older_data_another_warehouse_and_another_shop_are_refused(tmp_path: Path, place: Place) -> None:
    newer = publish_day(tmp_path / "newer", 2)
    older = publish_day(tmp_path / "older", 1)
    other = publish_day(tmp_path / "other", 3, warehouse_id="second-warehouse")
    publish_files(newer, place)
    before = place.content("current.json")
    assert "holds newer data" in publish_files(older, place).problem
    assert "holds the data of another warehouse" in publish_files(other, place).problem
    assert place.content("current.json") == before
    assert publish_files(older, place, replace_all=True).problem == ""
    assert place.rows("reports.rpt_day", "select day from rows") == [(1,)]
    place.put("de/current.json", place.content("current.json"))
    assert "holds the data of a shop without a name" in publish_files(older, place, "de").problem


def test_place_that_is_not_empty_and_has_no_pointer_is_refused(tmp_path: Path, place: Place) -> None:
    place.put("report.xlsx", b"of the user")
    warehouse = publish_day(tmp_path / "warehouse")
    assert "rivo-warehouse did not write it" in publish_files(warehouse, place).problem
    assert place.list_keys() == ["report.xlsx"]
    place.put("current.json", b"[1]")
    assert "was not written by rivo-warehouse" in publish_files(warehouse, place).problem


def test_shops_have_a_place_each(tmp_path: Path, place: Place) -> None:
    publish_files(publish_day(tmp_path / "de", 1, warehouse_id="one"), place, "de")
    publish_files(publish_day(tmp_path / "fr", 2, warehouse_id="two"), place, "fr")
    assert [place.rows("reports.rpt_day", "select day from rows", shop) for shop in ("de", "fr")] == [
        [(1,)],
        [(2,)],
    ]


def test_files_stay_for_a_week_after_the_publication_that_no_longer_lists_them(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_files(publish_day(tmp_path / "warehouse"), place)
    place.put("publications/20260101T000000Z-0123456789ab/marts/x/rows-001.parquet", b"of a killed process")
    first = place.files("marts.dim_member")
    constant = place.files("reports.rpt_constant")
    for day in range(1, 4):
        publish_files(publish_day(tmp_path / "warehouse", day), place)
    assert set(first) <= set(place.list_keys())
    monkeypatch.setattr(parquet, "KEEP", timedelta())
    publish_files(publish_day(tmp_path / "warehouse", 4), place)
    # Those of the publication before were retired only now.
    kept = {file for each in place.current()["retired"] for file in each["files"]}
    live = {key for table in place.current()["tables"] for part in table["parts"] for key in part["files"]}
    assert set(place.list_keys()) == {"current.json"} | kept | live
    assert set(constant) <= live
    assert not set(first) & set(place.list_keys())


def test_purge_leaves_nothing_of_an_erased_person(tmp_path: Path, place: Place) -> None:
    publish_files(publish_day(tmp_path / "warehouse"), place)
    publish_files(publish_day(tmp_path / "warehouse", 1), place)
    assert _files_with(place, ADDRESS)
    publish_files(publish_day(tmp_path / "warehouse", 1, address="erased-1"), place, purge=True)
    assert _files_with(place, ADDRESS) == []
    assert place.current()["retired"] == []
    live = {key for table in place.current()["tables"] for part in table["parts"] for key in part["files"]}
    assert set(place.list_keys()) == {"current.json"} | live


def _files_with(place: Place, text: str) -> list[str]:
    """Return the files that have a text in a value. The content is compressed, so it is read."""
    found = []
    for key in place.list_keys():
        if not key.endswith(".parquet"):
            continue
        copy = place.copies / "looked-at.parquet"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(place.content(key))
        if text in str(pq.read_table(copy).to_pylist()):
            found.append(key)
    return found


def test_purge_fails_loudly_if_files_cannot_be_deleted(tmp_path: Path, in_s3: Place, s3: S3) -> None:
    publish_files(publish_day(tmp_path / "warehouse"), in_s3)
    s3.fails = lambda method, path: (403, "AccessDenied") if method == "POST" else None
    erased = publish_day(tmp_path / "warehouse", 1, address="erased-1", erased_at=FIRST_DAY)
    assert "could not be deleted" in publish_files(erased, in_s3).problem
    s3.fails = lambda _method, _path: None
    # The next publication purges by itself.
    publish_files(erased, in_s3)
    assert _files_with(in_s3, ADDRESS) == []


def test_of_two_publications_at_once_one_fails_and_leaves_nothing(
    tmp_path: Path, in_s3: Place, s3: S3
) -> None:
    publish_files(publish_day(tmp_path / "a"), in_s3)
    second = publish_day(tmp_path / "b", 2)
    third = publish_day(tmp_path / "a", 1)
    done: list[Publication] = []

    def before(method: str, path: str) -> None:
        if method == "PUT" and path.endswith("current.json") and not done:
            done.append(Publication("marker"))
            done[0] = publish_files(second, in_s3)

    s3.before = before
    failed = publish_files(third, in_s3)
    assert "another process has published to it at the same time" in failed.problem
    assert [each.problem for each in done] == [""]
    assert in_s3.rows("reports.rpt_day", "select day from rows") == [(2,)]
    assert not [key for key in in_s3.list_keys() if "/20260902T" in key]


def test_errors_of_the_service_are_sentences_without_secrets(tmp_path: Path, in_s3: Place, s3: S3) -> None:
    s3.fails = lambda _method, _path: (403, "SignatureDoesNotMatch")
    problem = publish_files(publish_day(tmp_path / "warehouse"), in_s3).problem
    assert problem.startswith("RIVO_TARGET_FILES: 127.0.0.1 refuses the secret key.")
    assert problem.endswith(f"It keeps what it has. Then run `{command()} publish files`.")
    assert SECRET not in problem
    assert KEY_ID not in problem


def test_publication_killed_at_any_request_leaves_one_day_whole(tmp_path: Path, in_s3: Place, s3: S3) -> None:
    publish_files(publish_day(tmp_path / "warehouse"), in_s3)
    unserved = Place(in_s3.url, in_s3.copies)
    seen = []
    for number in range(1, 60):
        with killed_at_request(s3, number) as children:
            arguments = (tmp_path / "warehouse", unserved, number)
            children.append(Child(publish_day_to, *arguments, environment=s3.environment))
            code = children[0].end()
        seen.append(_day(in_s3))
        if code == 0:
            break
    else:
        raise AssertionError("the publication was killed every time")
    assert len(seen) > 8
    assert seen[0] == 0
    assert seen[-1] == number
    assert seen == sorted(seen)


def _day(place: Place) -> int:
    """Return the day that is published, after a check that all tables are of that day and whole."""
    [(day,)] = place.rows("reports.rpt_day", "select day from rows")
    assert place.rows("marts.dim_member", "select count(distinct day), min(day), count(*) from rows") == [
        (1, day, 301 if day else 300)
    ]
    assert place.rows("marts.fct_ledger", "select min(day), max(day), count(*) from rows") == [(day, day, 50)]
    for table in place.current()["tables"]:
        rows = place.rows(f"{table['schema']}.{table['name']}", "select count(*) from rows")
        assert rows == [(table["rows"],)]
    return int(day)

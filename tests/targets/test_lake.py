"""A target in a DuckLake: a snapshot for each publication, few files, and nothing of an erased person."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.targets import ducklake
from pipelines.targets.publication import Publication
from pipelines.targets.publishing import publish
from pipelines.warehouse import Warehouse
from tests.harness.postgres_server import PASSWORD
from tests.targets.databases import Database
from tests.targets.lakes import in_lake, opened_lake, parquet_files
from tests.targets.s3 import BUCKET, S3
from tests.targets.test_postgres import NEW, comparable, in_file
from tests.targets.warehouses import ADDRESS, KEYS, SCHEMAS, publish_day

TABLES = (
    "marts.dim_member",
    "marts.fct_ledger",
    "marts.fct_member_daily",
    "marts.fct_empty",
    "reports.rpt_day",
)


def to_lake(warehouse: Warehouse, database: Database, data: object, **options: Any) -> Publication:
    [publication] = publish(warehouse, "", [database.lake(str(data))], SCHEMAS, KEYS, **options)
    return publication


def test_lake_has_rows_types_and_comments_of_file(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path / "warehouse")
    assert to_lake(warehouse, database, tmp_path / "lake").problem == ""
    for table in TABLES:
        assert comparable(in_lake(database, f"from {table}")) == comparable(
            in_file(warehouse, f"from {table}")
        )
    columns = (
        "select schema_name, table_name, column_name, replace(data_type, 'HUGEINT', 'DECIMAL(38,0)'), comment "
        "from duckdb_columns() "
        "where database_name = {} and schema_name in ('marts', 'reports') and table_name <> 'fct_member_daily'"
    )
    assert comparable(in_lake(database, columns.format("'lake'"))) == comparable(
        in_file(warehouse, columns.format("current_database()"))
    )
    comments = (
        "select table_name, comment from duckdb_tables() where database_name = {} and comment is not null "
        "union all select view_name, comment from duckdb_views() where database_name = {} and comment is not null"
    )
    in_its_lake = set(in_lake(database, comments.format("'lake'", "'lake'")))
    assert in_its_lake >= set(in_file(warehouse, comments.format("current_database()", "current_database()")))


@pytest.mark.parametrize(("written", "name"), [("my+lake", "my+lake"), ("my%20lake", "my lake")])
def test_folder_has_the_name_in_the_url(tmp_path: Path, database: Database, written: str, name: str) -> None:
    warehouse = publish_day(tmp_path / "warehouse", members=5)
    assert to_lake(warehouse, database, f"{tmp_path}/{written}").problem == ""
    assert {path.name for path in tmp_path.iterdir()} == {"warehouse", name}


def test_publication_is_a_snapshot_with_a_message(tmp_path: Path, database: Database) -> None:
    for day in (0, 1):
        to_lake(publish_day(tmp_path / "warehouse", day), database, tmp_path / "lake")
    messages = in_lake(
        database,
        "select snapshot_id, commit_message, commit_extra_info from lake.snapshots() where author = 'rivo-warehouse'",
    )
    assert [message for _, message, _ in messages] == [
        "shop as of 2026-09-01 03:00 UTC",
        "shop as of 2026-09-02 03:00 UTC",
    ]
    assert '"observed_at": "2026-09-01T03:00:00+00:00"' in messages[0][2]
    first = messages[0][0]
    assert in_lake(database, f"select day from reports.rpt_day at (version => {first})") == [(0,)]
    assert in_lake(database, "select day from reports.rpt_day") == [(1,)]


def test_unchanged_tables_are_not_written(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path / "warehouse")
    to_lake(warehouse, database, tmp_path / "lake")
    files = parquet_files(tmp_path / "lake")
    again = to_lake(warehouse, database, tmp_path / "lake")
    assert (again.written, again.unchanged) == (0, NEW)
    # The mark alone: when it was last published is new.
    assert len(parquet_files(tmp_path / "lake")) <= len(files) + 1


def test_changed_columns_are_published(tmp_path: Path, database: Database) -> None:
    to_lake(publish_day(tmp_path / "warehouse"), database, tmp_path / "lake")
    to_lake(publish_day(tmp_path / "warehouse", 1, extra_column=True), database, tmp_path / "lake")
    assert in_lake(database, "select distinct tier from marts.dim_member") == [("gold",)]
    assert in_lake(
        database,
        "select comment from duckdb_columns() where database_name = 'lake' and column_name = 'email'",
    ) == [("E-mail address, with 'quotes'.",)]


@pytest.mark.parametrize("large_rows", [100, 1_000_000])
def test_changed_and_removed_comments_are_published(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch, large_rows: int
) -> None:
    """Of a large table, the changed rows alone are written, here none."""
    monkeypatch.setattr("pipelines.targets.attached.LARGE_ROWS", large_rows)
    comments = (
        "comment on table {0} is {1}; comment on column {0}.day is {2}; comment on column {0}.email is {3};"
    )
    query = (
        "select comment from duckdb_tables() where database_name = {0} and table_name = 'dim_member' union all "
        "select comment from duckdb_columns() where database_name = {0} and table_name = 'dim_member' "
        "and column_name in ('day', 'email')"
    )
    for texts in (("'a'", "'b'", "null"), ("null", "null", "'it''s'"), ("'d'", "'e'", "null")):
        warehouse = publish_day(tmp_path / "warehouse")
        with duckdb.connect(str(warehouse.path)) as connection:
            connection.execute(comments.format("marts.dim_member", *texts))
        for _ in range(2):
            assert to_lake(warehouse, database, tmp_path / "lake").problem == ""
        assert comparable(in_lake(database, query.format("'lake'"))) == comparable(
            in_file(warehouse, query.format("current_database()"))
        )


def test_older_day_and_other_warehouse_are_refused(tmp_path: Path, database: Database) -> None:
    lake = tmp_path / "lake"
    to_lake(publish_day(tmp_path / "warehouse", 5), database, lake)
    assert "holds newer data" in to_lake(publish_day(tmp_path / "warehouse", 4), database, lake).problem
    other = to_lake(publish_day(tmp_path / "other", 6, warehouse_id="another-one"), database, lake)
    assert "holds the data of another warehouse" in other.problem
    assert in_lake(database, "select day from reports.rpt_day") == [(5,)]
    replaced = to_lake(
        publish_day(tmp_path / "other", 4, warehouse_id="another-one"), database, lake, replace_all=True
    )
    assert replaced.problem == ""
    assert in_lake(database, "select day from reports.rpt_day") == [(4,)]


def test_lake_without_mark_is_refused(tmp_path: Path, database: Database) -> None:
    lake = tmp_path / "lake"
    (lake / "rivo").mkdir(parents=True)
    (lake / "rivo" / "precious.parquet").write_bytes(b"not ours")
    assert (
        "is not empty, and rivo-warehouse did not write it"
        in to_lake(publish_day(tmp_path / "warehouse"), database, lake).problem
    )
    database.do("create schema rivo; create table rivo.mine (a int)")
    assert (
        "the schema rivo of the catalogue is not empty"
        in to_lake(publish_day(tmp_path / "warehouse"), database, tmp_path / "other").problem
    )


def test_several_shops_have_a_lake_each(tmp_path: Path, database: Database) -> None:
    for shop, day in (("de", 1), ("fr", 2), ("de", 3)):
        warehouse = publish_day(tmp_path / shop, day, warehouse_id=shop)
        [done] = publish(warehouse, shop, [database.lake(str(tmp_path / "lake"))], SCHEMAS, KEYS)
        assert done.problem == ""
    for shop, day in (("de", 3), ("fr", 2)):
        assert in_lake(database, "select day from reports.rpt_day", f"rivo_{shop}") == [(day,)]
        assert in_lake(database, "select distinct shop from rivo_meta.published", f"rivo_{shop}") == [(shop,)]


def test_thirty_days_keep_few_files(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maintenance merges and deletes; here every fifth publication, with nothing kept for time travel."""
    lake = tmp_path / "lake"
    counts = []
    for day in range(30):
        due = day % 5 == 4
        monkeypatch.setattr(ducklake, "_MAINTENANCE", ducklake.KEEP * (0 if due else 1))
        monkeypatch.setattr(ducklake, "_ORPHAN", ducklake.KEEP * 0)
        with monkeypatch.context() as patch:
            patch.setattr(ducklake, "KEEP", ducklake.KEEP * 0)
            assert to_lake(publish_day(tmp_path / "warehouse", day, members=50), database, lake).problem == ""
        counts.append(len(parquet_files(lake)))
    assert in_lake(database, "select distinct day from marts.dim_member") == [(29,)]
    [(live,)] = in_lake(
        database, "select sum(file_count + delete_file_count) from ducklake_table_info('lake')"
    )
    assert live <= NEW + 2
    # Files of up to ten days: those since the maintenance before, which deletes what the one before that let expire.
    assert max(counts) <= 11 * NEW
    assert counts[-1] <= counts[9]


def test_purge_leaves_no_version_of_an_erased_person(tmp_path: Path, database: Database) -> None:
    lake = tmp_path / "lake"
    for day in (0, 1):
        to_lake(publish_day(tmp_path / "warehouse", day), database, lake)
    assert ADDRESS in database.dump()
    done = to_lake(
        publish_day(tmp_path / "warehouse", 1, address="erased-1@example.com"), database, lake, purge=True
    )
    assert done.problem == ""
    assert ADDRESS not in database.dump()
    for file in parquet_files(lake):
        assert ADDRESS.encode() not in file.read_bytes()
        with duckdb.connect() as connection:
            assert ADDRESS not in str(connection.execute(f"from read_parquet('{file}')").fetchall())
    assert in_lake(database, "select email from marts.dim_member where customer_id = 1") == [
        ("erased-1@example.com",)
    ]


def test_errors_show_no_password(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path / "warehouse")
    data = f"?data={tmp_path / 'lake'}"
    for target in (
        database.target(f"ducklake:{database.url}{data}", password="not-the-password"),
        database.target(f"ducklake:postgresql://dagster@127.0.0.1:1/nothing{data}"),
        database.target(f"ducklake:{database.url}?data=/proc/no-such-folder"),
    ):
        [failed] = publish(warehouse, "", [target], SCHEMAS, KEYS)
        assert "RIVO_TARGET_PG" in failed.problem
        assert not re.search(f"not-the-password|{PASSWORD}", failed.problem)


def test_lake_in_s3(tmp_path: Path, database: Database, s3: S3) -> None:
    data = f"s3://{BUCKET}/lake"
    for day in (0, 1):
        warehouse = publish_day(tmp_path / "warehouse", day)
        assert to_lake(warehouse, database, data).problem == ""
    with opened_lake(database, s3=s3) as connection:
        assert comparable(connection.execute("from lake.marts.dim_member").fetchall()) == comparable(
            in_file(warehouse, "from marts.dim_member")
        )
    assert "AWS" not in to_lake(warehouse, database, data, purge=True).problem


def test_large_table_gets_its_changed_rows(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = 5000
    monkeypatch.setattr("pipelines.targets.attached.LARGE_ROWS", 1000)
    lake = tmp_path / "lake"
    warehouse = publish_day(tmp_path / "warehouse", members=members)
    _same_day(warehouse)
    to_lake(warehouse, database, lake)
    for day, change in enumerate(_CHANGES, 1):
        warehouse = publish_day(tmp_path / "warehouse", members=members)
        _same_day(warehouse)
        with duckdb.connect(str(warehouse.path)) as connection:
            for each in _CHANGES[:day]:
                connection.execute(each)
        done = to_lake(warehouse, database, lake)
        assert done.problem == ""
        assert 0 < done.rows < 100, change
        assert comparable(in_lake(database, "from marts.dim_member")) == comparable(
            in_file(warehouse, "from marts.dim_member")
        )


_CHANGES = (
    "update marts.dim_member set balance = 12345 where customer_id = 77",
    "delete from marts.dim_member where customer_id = 4000",
    "insert into marts.dim_member by name (select 6001 as customer_id, 'new' as note)",
    "update marts.dim_member set email = null where customer_id = 4001",
)


def _same_day(warehouse: Warehouse) -> None:
    """Take out what differs in every row."""
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("update marts.dim_member set day = 0")


def test_table_that_was_small_for_a_day_is_right_when_it_is_large_again(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hashes of its last day as a large one say nothing of what the target has."""
    columns = "select customer_id, balance from marts.dim_member"
    for limit, balance in ((100, 1), (10_000, 2), (100, 1)):
        monkeypatch.setattr("pipelines.targets.attached.LARGE_ROWS", limit)
        warehouse = publish_day(tmp_path / "warehouse")
        with duckdb.connect(str(warehouse.path)) as connection:
            connection.execute(f"update marts.dim_member set balance = {balance} where customer_id < 9")
        assert to_lake(warehouse, database, tmp_path / "lake").problem == ""
        assert comparable(in_lake(database, columns)) == comparable(in_file(warehouse, columns))


def test_lakes_in_one_folder_delete_no_files_of_each_other(tmp_path: Path, database: Database) -> None:
    of_de = publish_day(tmp_path / "de", 1, warehouse_id="de")
    [done] = publish(of_de, "de", [database.lake(str(tmp_path / "lake"))], SCHEMAS, KEYS)
    assert done.problem == ""
    assert to_lake(publish_day(tmp_path / "one"), database, tmp_path / "lake", purge=True).problem == ""
    assert in_lake(database, "select distinct day from marts.dim_member", "rivo_de") == [(1,)]


def test_failed_maintenance_is_a_note_and_fails_only_a_purge(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise duckdb.IOException("no space left")

    monkeypatch.setattr(ducklake, "_maintain", fails)
    done = to_lake(publish_day(tmp_path / "w"), database, tmp_path / "lake")
    assert (done.problem, "no space left" in done.notes[0]) == ("", True)
    failed = to_lake(publish_day(tmp_path / "w", 1), database, tmp_path / "lake", purge=True)
    assert "older versions could not be deleted" in failed.problem
    assert in_lake(database, "select day from reports.rpt_day") == [(1,)]


def test_unchanged_large_table_is_not_compared(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise AssertionError("an unchanged table was read again")

    monkeypatch.setattr("pipelines.targets.attached.LARGE_ROWS", 100)
    warehouse = publish_day(tmp_path / "w")
    assert to_lake(warehouse, database, tmp_path / "lake").problem == ""
    monkeypatch.setattr("pipelines.targets.attached.find_changes", fails)
    again = to_lake(warehouse, database, tmp_path / "lake")
    assert (again.problem, again.written) == ("", 0)

"""A target in PostgreSQL: the rows, types and descriptions of the file; one publication or the next one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from pipelines.targets.publication import Publication
from pipelines.targets.publishing import publish
from pipelines.warehouse import Warehouse
from tests.harness.postgres_server import PASSWORD
from tests.targets.databases import Database
from tests.targets.warehouses import ADDRESS, FIRST_DAY, KEYS, SCHEMAS, plain, publish_day

NEW = 8
"""Number of tables and views of the small warehouse."""


def to_postgres(warehouse: Warehouse, database: Database, **options: Any) -> Publication:
    [publication] = publish(warehouse, "", [database.target()], SCHEMAS, KEYS, **options)
    return publication


def in_file(warehouse: Warehouse, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(warehouse.path), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


def comparable(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows in an order of their own, with one form for each value."""
    return sorted((tuple(map(plain, row)) for row in rows), key=repr)


def test_postgres_has_rows_of_file(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path)
    assert to_postgres(warehouse, database).problem == ""
    # U+0000 cannot be stored; the row that has it is compared on its own.
    columns = "customer_id, email, balance, huge, is_member, joined, seen_at, local_time, note, share"
    assert comparable(database.rows(f"select {columns} from marts.dim_member")) == comparable(
        in_file(warehouse, f"select {columns} from marts.dim_member")
    )
    for table in ("marts.fct_ledger", "marts.fct_member_daily", "reports.rpt_constant", "marts.fct_empty"):
        assert comparable(database.rows(f"select * from {table}")) == comparable(
            in_file(warehouse, f"select * from {table}")
        )


def test_postgres_keeps_json_and_replaces_u0000(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path)
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute(
            """update marts.dim_member set note = 'nul' || chr(0) || 'end', tags = '["\\u0000\\u0000", "\\\\u0000"]' """
            "where customer_id = 1"
        )
    to_postgres(warehouse, database)
    [(note, tags)] = database.rows("select note, tags from marts.dim_member where customer_id = 1")
    assert (note, tags) == ("nul\ufffdend", ["\ufffd\ufffd", "\\u0000"])
    [(three,)] = database.rows("select tags from marts.dim_member where customer_id = 3")
    assert three["a"] == [1, "x", None]


def test_postgres_has_types_comments_and_keys(tmp_path: Path, database: Database) -> None:
    to_postgres(publish_day(tmp_path), database)
    types = dict(
        database.rows(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = 'marts.dim_member'::regclass and attnum > 0 order by attnum"
        )
    )
    assert types == {
        "customer_id": "bigint",
        "email": "text",
        "day": "integer",
        "balance": "double precision",
        "huge": "numeric(38,0)",
        "is_member": "boolean",
        "joined": "date",
        "seen_at": "timestamp with time zone",
        "local_time": "timestamp without time zone",
        "note": "text",
        "tags": "jsonb",
        "share": "double precision",
    }
    assert database.rows("select obj_description('marts.dim_member'::regclass)") == [
        ('One row per member: "quoted", it\'s so.',)
    ]
    assert database.rows("select col_description('marts.dim_member'::regclass, 2)") == [
        ("E-mail address, with 'quotes'.",)
    ]
    assert database.rows("select obj_description('marts.fct_member_daily'::regclass)") == [
        ("One row per member and day.",)
    ]
    [(key,)] = database.rows(
        "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'marts.dim_member'::regclass"
    )
    assert key == "PRIMARY KEY (customer_id)"


def test_key_that_gets_a_null_is_dropped(tmp_path: Path, database: Database) -> None:
    to_postgres(publish_day(tmp_path), database)
    for value, keys in (("null", 0), ("7", 1)):
        warehouse = publish_day(tmp_path)
        with duckdb.connect(str(warehouse.path)) as connection:
            connection.execute(f"update reports.rpt_day set day = {value}")
        assert to_postgres(warehouse, database).problem == ""
        assert database.rows(
            "select count(*) from pg_constraint where conrelid = 'reports.rpt_day'::regclass and contype = 'p'"
        ) == [(keys,)]


def test_mark_names_each_table(tmp_path: Path, database: Database) -> None:
    to_postgres(publish_day(tmp_path), database)
    found = database.rows('select "table", rows, observed_at, shop from rivo_meta.published order by 1')
    assert len(found) == NEW
    assert ("marts.dim_member", 300, FIRST_DAY, "") in found
    assert ("marts.fct_member_daily", None, FIRST_DAY, "") in found


def test_unchanged_tables_are_not_written(tmp_path: Path, database: Database) -> None:
    to_postgres(publish_day(tmp_path), database)
    again = to_postgres(Warehouse(tmp_path / "rivo.duckdb"), database)
    assert (again.written, again.unchanged, again.rows) == (0, NEW, 0)
    before = database.rows(
        "select oid, relfilenode from pg_class where relname in ('rpt_constant', 'fct_ledger')"
    )
    next_day = to_postgres(publish_day(tmp_path, 1), database)
    assert (next_day.unchanged, next_day.problem) == (3, "")
    assert before == database.rows(
        "select oid, relfilenode from pg_class where relname in ('rpt_constant', 'fct_ledger')"
    )


def test_grants_indexes_and_views_survive(tmp_path: Path, database: Database) -> None:
    to_postgres(publish_day(tmp_path), database)
    database.do(
        "create role analyst; grant usage on schema marts to analyst; grant select on marts.dim_member to analyst; "
        "grant select on marts.fct_member_daily to analyst; create index on marts.dim_member (email); "
        "create view public.emails as select email, day from marts.dim_member"
    )
    assert to_postgres(publish_day(tmp_path, 1), database).problem == ""
    assert database.rows("select distinct day from public.emails") == [(1,)]
    database.do("drop view public.emails")
    assert to_postgres(publish_day(tmp_path, 2, extra_column=True), database).problem == ""
    assert database.rows("select distinct tier from marts.dim_member") == [("gold",)]
    granted = database.rows(
        "select has_table_privilege('analyst', t, 'select') from unnest(array['marts.dim_member', "
        "'marts.fct_member_daily']) t"
    )
    database.do("drop owned by analyst; drop role analyst")
    assert granted == [(True,), (True,)]


def test_table_that_is_gone_is_dropped(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path)
    to_postgres(warehouse, database)
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("drop table reports.rpt_constant")
    to_postgres(warehouse, database)
    assert database.rows("select to_regclass('reports.rpt_constant')") == [(None,)]


def test_older_day_is_refused(tmp_path: Path, database: Database) -> None:
    to_postgres(publish_day(tmp_path, 5), database)
    older = publish_day(tmp_path, 4)
    assert "holds newer data, as of 2026-09-06 03:00:00 UTC" in to_postgres(older, database).problem
    assert database.rows("select day from reports.rpt_day") == [(5,)]
    assert to_postgres(older, database, replace_all=True).problem == ""
    assert database.rows("select day from reports.rpt_day") == [(4,)]


def test_earlier_publication_of_the_same_day_is_refused(tmp_path: Path, database: Database) -> None:
    earlier = publish_day(tmp_path / "one")
    to_postgres(publish_day(tmp_path / "two", address="erased@example.com", minutes=4), database)
    assert "holds newer data" in to_postgres(earlier, database).problem
    assert ADDRESS not in database.dump()


def test_other_warehouse_is_refused(tmp_path: Path, database: Database) -> None:
    to_postgres(publish_day(tmp_path), database)
    other = to_postgres(publish_day(tmp_path / "other", 1, warehouse_id="another-one"), database)
    assert "holds the data of another warehouse" in other.problem
    assert database.rows("select day from reports.rpt_day") == [(0,)]


@pytest.mark.parametrize("made", ["create schema reports; create table reports.mine (a int)", "marked"])
def test_what_others_wrote_is_refused(tmp_path: Path, database: Database, made: str) -> None:
    if made == "marked":
        warehouse = publish_day(tmp_path)
        with duckdb.connect(str(warehouse.path)) as connection:
            connection.execute("drop table reports.rpt_constant")
        to_postgres(warehouse, database)
        made = "create table reports.rpt_constant (a int)"
    database.do(made)
    before = database.dump()
    assert "rivo-warehouse did not write" in to_postgres(publish_day(tmp_path, 1), database).problem
    assert database.dump() == before


def test_several_shops_share_a_database(tmp_path: Path, database: Database) -> None:
    for shop, day in (("de", 1), ("fr", 2), ("de", 3)):
        warehouse = publish_day(tmp_path / shop, day, warehouse_id=shop)
        [done] = publish(warehouse, shop, [database.target()], SCHEMAS, KEYS)
        assert done.problem == ""
    assert database.rows(
        "select day from de_reports.rpt_day union all select day from fr_reports.rpt_day"
    ) == [
        (3,),
        (2,),
    ]
    assert database.rows("select count(*) from fr_marts.fct_member_daily") == [(19 * 31,)]
    assert database.rows("select shop, count(*) from rivo_meta.published group by 1 order by 1") == [
        ("de", NEW),
        ("fr", NEW),
    ]


def test_reader_in_a_transaction_sees_one_day(tmp_path: Path, database: Database) -> None:
    to_postgres(publish_day(tmp_path), database)
    with database.connect() as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert reader.execute("select day from reports.rpt_day").fetchall() == [(0,)]
        to_postgres(publish_day(tmp_path, 1), database)
        assert reader.execute("select distinct day from marts.dim_member").fetchall() == [(0,)]
    assert database.rows("select distinct day from marts.dim_member") == [(1,)]


def test_wrong_password_and_missing_server_are_sentences(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path)
    for target in (
        database.target(password="not-the-password"),
        database.target("postgresql://dagster@127.0.0.1:1/nothing"),
        database.target("postgresql://dagster@no-such-host.invalid/nothing"),
    ):
        [failed] = publish(warehouse, "", [target], SCHEMAS, KEYS)
        assert "cannot be used" in failed.problem
        assert "rivo publish pg" in failed.problem
        assert "not-the-password" not in failed.problem
        assert PASSWORD not in failed.problem
    assert to_postgres(warehouse, database).problem == ""


def test_failed_target_stops_no_other(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path)
    broken = database.target(password="not-the-password")
    first, second = publish(warehouse, "", [broken, database.target()], SCHEMAS, KEYS)
    assert first.problem
    assert second.written == NEW


def test_purge_leaves_no_version_of_an_erased_person(tmp_path: Path, database: Database) -> None:
    to_postgres(publish_day(tmp_path), database)
    # Few enough statistics to be stored as they are; more are compressed.
    database.do("create index on marts.dim_member (email)")
    database.do("alter table marts.dim_member alter column email set statistics 2")
    database.do("analyze")
    done = to_postgres(publish_day(tmp_path, 0, address="erased-1@example.com"), database, purge=True)
    assert done.problem == ""
    assert ADDRESS not in database.dump()
    assert database.rows("select email from marts.dim_member where customer_id = 1") == [
        ("erased-1@example.com",)
    ]
    database.do("checkpoint")
    held = [file for file in database.server.data_files() if ADDRESS.encode() in file.read_bytes()]
    assert [file for file in held if "pg_wal" not in str(file)] == []


def test_observed_at_of_every_publication_is_noted(tmp_path: Path, database: Database) -> None:
    for day in (0, 1):
        assert to_postgres(publish_day(tmp_path, day), database).observed_at == FIRST_DAY + timedelta(
            days=day
        )


@pytest.mark.parametrize(
    ("change", "most"),
    [
        ("update marts.dim_member set balance = 12345 where customer_id = 77", 20),
        ("delete from marts.dim_member where customer_id = 4000", 20),
        ("insert into marts.dim_member by name (select 60001 as customer_id, 'new' as note)", 20),
        ("update marts.dim_member set email = null where customer_id in (2, 4001)", 40),
        ("delete from marts.dim_member where customer_id > 500", 20),
    ],
)
def test_large_table_gets_its_changed_rows(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch, change: str, most: int
) -> None:
    monkeypatch.setattr("pipelines.targets.postgres.LARGE_ROWS", 400)
    warehouse = publish_day(tmp_path, members=5000)
    assert to_postgres(warehouse, database).problem == ""
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute(change)
    done = to_postgres(warehouse, database)
    assert (done.problem, done.written) == ("", 1)
    assert done.rows <= most
    columns = "customer_id, email, balance, note"
    assert comparable(database.rows(f"select {columns} from marts.dim_member")) == comparable(
        in_file(warehouse, f"select {columns} from marts.dim_member")
    )


def test_table_that_was_small_for_a_day_is_right_when_it_is_large_again(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hashes of its last day as a large one say nothing of what the target has."""
    columns = "select customer_id, balance from marts.dim_member"
    for limit, balance in ((100, 1), (10_000, 2), (100, 1)):
        monkeypatch.setattr("pipelines.targets.postgres.LARGE_ROWS", limit)
        warehouse = publish_day(tmp_path)
        with duckdb.connect(str(warehouse.path)) as connection:
            connection.execute(f"update marts.dim_member set balance = {balance} where customer_id < 9")
        assert to_postgres(warehouse, database).problem == ""
        assert comparable(database.rows(columns)) == comparable(in_file(warehouse, columns))


def test_purge_repairs_rows_that_were_changed_by_hand(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path)
    to_postgres(warehouse, database)
    database.do("delete from marts.dim_member where customer_id < 20; update reports.rpt_day set title = 'x'")
    assert to_postgres(warehouse, database, purge=True).problem == ""
    assert database.rows("select count(*), min(customer_id) from marts.dim_member") == [(300, 1)]
    assert database.rows("select title from reports.rpt_day") == [("report of day 0",)]


def test_schema_that_is_no_longer_published_is_dropped(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path)
    to_postgres(warehouse, database)
    for schemas in (("reports",), SCHEMAS):
        [done] = publish(warehouse, "", [database.target()], schemas, KEYS, purge=True)
        assert done.problem == ""
        assert database.rows("select to_regclass('marts.dim_member') is not null") == [("marts" in schemas,)]


def test_shop_that_gets_a_name_leaves_no_copy(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path)
    to_postgres(warehouse, database)
    [done] = publish(warehouse, "de", [database.target()], SCHEMAS, KEYS)
    assert done.problem == ""
    assert database.rows("select to_regclass('marts.dim_member'), count(*) from de_marts.dim_member") == [
        (None, 300)
    ]
    assert database.rows("select distinct shop from rivo_meta.published") == [("de",)]


def test_errors_quote_no_row(tmp_path: Path, database: Database) -> None:
    to_postgres(publish_day(tmp_path), database)
    database.do("alter table marts.dim_member add constraint own check (day < 1)")
    failed = to_postgres(publish_day(tmp_path, 1), database)
    assert "violates check constraint" in failed.problem
    assert "@example.com" not in failed.problem


def test_user_without_the_right_to_create_schemas_publishes_into_its_own(
    tmp_path: Path, database: Database
) -> None:
    database.do(
        f"create role loader login password '{PASSWORD}'; create schema marts authorization loader; "
        "create schema reports authorization loader; create schema rivo_meta authorization loader"
    )
    target = database.target(database.url.replace("dagster@", "loader@"))
    for day in (0, 1):
        [done] = publish(publish_day(tmp_path, day), "", [target], SCHEMAS, KEYS)
        assert done.problem == ""
    database.do("drop schema reports cascade")
    [failed] = publish(publish_day(tmp_path, 2), "", [target], SCHEMAS, KEYS)
    database.do("drop owned by loader; drop role loader")
    assert "grant create on database" in failed.problem


def test_nothing_to_publish_is_a_sentence(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path)
    to_postgres(warehouse, database)
    [failed] = publish(warehouse, "", [database.target()], ("seeds",), KEYS)
    assert "There is nothing to publish" in failed.problem
    assert database.rows("select count(*) from marts.dim_member") == [(300,)]

"""Tables in PostgreSQL whose columns or key change: what users have made of them stays, or a sentence says what is in
the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.targets.publication import Publication
from pipelines.targets.publishing import publish
from pipelines.warehouse import Warehouse
from tests.targets.databases import Database
from tests.targets.test_postgres import comparable, in_file
from tests.targets.warehouses import KEYS, SCHEMAS, publish_day

ANALYST = (
    "create role analyst; grant usage on schema marts to analyst; grant select on marts.dim_member to analyst; "
    "grant select (date_day) on marts.dim_date to analyst; grant select (local_day) on marts.fct_member_daily to "
    "analyst; alter table marts.dim_member enable row level security; "
    "create policy few on marts.dim_member to analyst using (customer_id < 5)"
)
READ = "select * from marts.dim_member"


def published(
    folder: Path,
    database: Database,
    *changes: str,
    keys: Mapping[str, tuple[str, ...]] = KEYS,
    **options: Any,
) -> tuple[Warehouse, Publication]:
    """Publish the next day of a warehouse, changed by some statements."""
    day = sum(1 for _ in folder.glob("day_*"))
    (folder / f"day_{day}").touch()
    warehouse = publish_day(folder, day)
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for change in changes:
            connection.execute(change)
    [done] = publish(warehouse, "", [database.target()], SCHEMAS, keys, **options)
    return warehouse, done


def check_rows(warehouse: Warehouse, database: Database, relation: str) -> None:
    names = [
        name for (name, *_) in in_file(warehouse, f"describe {relation}") if name not in ("tags", "note")
    ]
    query = f"select {', '.join(names)} from {relation}"
    assert comparable(database.rows(query)) == comparable(in_file(warehouse, query))


@pytest.fixture
def first_day(tmp_path: Path, database: Database) -> Database:
    assert published(tmp_path, database)[1].problem == ""
    return database


@pytest.fixture
def analyst(first_day: Database) -> Iterator[Database]:
    """Return a database in which a role reads a part of the tables."""
    first_day.do(ANALYST)
    yield first_day
    first_day.do("drop owned by analyst; drop role analyst")


def seen_by_analyst(database: Database, sql: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        connection.execute("set role analyst")
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("limit", [1_000_000, 0], ids=["small", "large"])
@pytest.mark.parametrize(
    "changes",
    [
        ("alter table marts.dim_member add column tier varchar default 'gold'",),
        ("create or replace table marts.dim_member as select email, customer_id, * exclude (email, customer_id) from "
         "marts.dim_member",),
        ("alter table marts.dim_member drop column balance",),
        ("alter table marts.dim_member alter share type varchar",
         "alter table marts.dim_member alter customer_id type integer"),
        ("alter table marts.dim_member add column a date", "alter table marts.dim_member drop column joined",
         "alter table marts.dim_member alter huge type double"),
    ],
    ids=["added", "reordered", "dropped", "retyped", "all"],
)  # fmt: skip
def test_changed_columns_keep_views_indexes_and_the_table(
    tmp_path: Path, first_day: Database, monkeypatch: pytest.MonkeyPatch, limit: int, changes: tuple[str, ...]
) -> None:
    monkeypatch.setattr("pipelines.targets.postgres.LARGE_ROWS", limit)
    first_day.do(
        "create view public.emails as select email, day from marts.dim_member; "
        "create index mine on marts.dim_member (email)"
    )
    [before] = first_day.rows("select 'marts.dim_member'::regclass::oid")
    # The second one has the columns already; the third one lacks them again.
    for each in (changes, changes, ()):
        warehouse, done = published(tmp_path, first_day, *each)
        assert done.problem == ""
        check_rows(warehouse, first_day, "marts.dim_member")
        assert len(first_day.rows("select * from public.emails")) == 301
        assert first_day.rows(
            "select 'marts.dim_member'::regclass::oid, to_regclass('marts.mine') is not null"
        ) == [(*before, True)]
        types = dict(first_day.rows(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute where attnum > 0 and not attisdropped "
            "and attrelid = 'marts.dim_member'::regclass"
        ))  # fmt: skip
        assert types.keys() == {name for (name, *_) in in_file(warehouse, "describe marts.dim_member")}
        if "tier" in types:
            assert first_day.rows("select distinct tier from marts.dim_member") == [("gold",)]


def test_added_column_is_written_to_all_rows_of_a_large_table(
    tmp_path: Path, first_day: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.targets.postgres.LARGE_ROWS", 10)
    published(tmp_path, first_day)
    change = "alter table marts.dim_member add column grade integer"
    # The other tables have 130 rows, and 20 members change each day.
    for value, rows in (("null", 150), ("customer_id", 290)):
        set_grade = f"update marts.dim_member set grade = {value} where customer_id % 2 = 0"
        warehouse, done = published(
            tmp_path, first_day, change, set_grade, "update marts.dim_member set day = 1"
        )
        assert (done.problem, done.rows // 10 * 10) == ("", rows)
        check_rows(warehouse, first_day, "marts.dim_member")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "alter table marts.dim_member drop column email",
            "marts.dim_member has no column email any more, but in the database view emails depends on column email "
            "of table marts.dim_member",
        ),
        (
            "alter table marts.dim_member alter day type varchar",
            "marts.dim_member has another type of column day, but in the database rule _RETURN on view emails depends "
            'on column "day"',
        ),
        (
            "drop table marts.dim_member",
            "marts.dim_member is no longer published, but in the database view emails depends on table "
            "marts.dim_member",
        ),
        (
            "create or replace view marts.fct_member_daily as select 1 as one",
            "the view marts.fct_member_daily has other columns, or its tables have, but in the database view days "
            "depends on view marts.fct_member_daily",
        ),
        (
            "alter table marts.dim_date alter date_day type timestamp",
            "the view marts.fct_member_daily has other columns, or its tables have, but in the database view days "
            "depends on view marts.fct_member_daily",
        ),
    ],
)
def test_view_of_a_user_in_the_way_is_named(
    tmp_path: Path, first_day: Database, change: str, sentence: str
) -> None:
    first_day.do(
        "create view public.emails as select email, day from marts.dim_member; "
        "create view public.days as select local_day from marts.fct_member_daily"
    )
    before = first_day.dump()
    _, failed = published(tmp_path, first_day, change)
    assert failed.problem.startswith(
        f"RIVO_TARGET_PG: {sentence}. Nothing was published. Drop what depends on it, "
    )
    assert "CASCADE" not in failed.problem
    assert "\n" not in failed.problem
    assert first_day.dump() == before
    first_day.do("drop view public.emails; drop view public.days")
    assert published(tmp_path, first_day, change)[1].problem == ""


def test_many_views_in_the_way_are_counted(tmp_path: Path, first_day: Database) -> None:
    for number in range(8):
        first_day.do(f"create view public.v{number} as select email from marts.dim_member")
    _, failed = published(tmp_path, first_day, "alter table marts.dim_member drop column email")
    assert failed.problem.count("depends on column email") == 5
    assert "; and 3 more. Nothing was published." in failed.problem


def test_policies_and_grants_stay_when_columns_and_keys_change(tmp_path: Path, analyst: Database) -> None:
    steps = (
        ("alter table marts.dim_member add column tier varchar default 'gold'",),
        ("alter table marts.dim_member alter huge type double",),
        ("alter table marts.dim_member alter email type blob using encode(email)",),
        ("alter table marts.dim_date add column quarter integer",),
        ("alter table marts.dim_date drop column day",),
    )
    for changes in (*steps, ()):
        assert published(tmp_path, analyst, *changes)[1].problem == ""
        assert seen_by_analyst(analyst, "select distinct customer_id < 5 from marts.dim_member") == [(True,)]
        assert len(seen_by_analyst(analyst, "select date_day from marts.dim_date")) == 60
        assert len(seen_by_analyst(analyst, "select local_day from marts.fct_member_daily")) == 19 * 31


def test_grants_and_options_of_a_view_that_is_made_again_stay(tmp_path: Path, analyst: Database) -> None:
    analyst.do("alter view marts.fct_member_daily set (security_barrier = true)")
    other = "create or replace view marts.fct_member_daily as select {} as local_day, 1 as one from marts.dim_date"
    for day in ("date_day", "date_day::varchar", "date_day"):
        assert published(tmp_path, analyst, other.format(day))[1].problem == ""
        assert len(seen_by_analyst(analyst, "select local_day from marts.fct_member_daily")) == 60
        assert analyst.rows("select reloptions from pg_class where relname = 'fct_member_daily'") == [
            (["security_barrier=true"],)
        ]


@pytest.mark.parametrize("table", ["dim_member", "dim_date"])
def test_protected_table_that_is_gone_is_not_dropped(tmp_path: Path, analyst: Database, table: str) -> None:
    gone = ("drop view marts.fct_member_daily", f"drop table marts.{table}")
    _, failed = published(tmp_path, analyst, *gone)
    assert (
        f"marts.{table} is no longer published, but it has row level security, policies or" in failed.problem
    )
    assert f'`drop table "marts"."{table}"`' in failed.problem
    assert analyst.rows(f"select distinct day from marts.{table}") == [(0,)]
    analyst.do(f'drop table "marts"."{table}" cascade')
    assert published(tmp_path, analyst, *gone)[1].problem == ""


@pytest.mark.parametrize("limit", [1_000_000, 0], ids=["small", "large"])
def test_changed_key_alters_the_table(
    tmp_path: Path, first_day: Database, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("pipelines.targets.postgres.LARGE_ROWS", limit)
    first_day.do("create view public.emails as select email, day from marts.dim_member")
    keys: tuple[tuple[str, ...], ...] = (
        ("email",),
        (),
        ("day", "customer_id"),
        ("customer_id", "day"),
        ("customer_id",),
    )
    for key in keys:
        change = "update marts.dim_member set email = customer_id::varchar" if "email" in key else "select 1"
        new = {**KEYS, "marts.dim_member": key}
        warehouse, done = published(tmp_path, first_day, change, keys=new)
        assert done.problem == ""
        check_rows(warehouse, first_day, "marts.dim_member")
        found = first_day.rows(
            "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'marts.dim_member'::regclass"
        )
        assert found == ([(f"PRIMARY KEY ({', '.join(key)})",)] if key else [])


def test_rows_that_agree_in_a_new_key_are_a_sentence(tmp_path: Path, first_day: Database) -> None:
    _, failed = published(tmp_path, first_day, keys={**KEYS, "marts.dim_member": ("day",)})
    assert "two rows of marts.dim_member agree in all columns of its grain" in failed.problem
    assert first_day.rows("select distinct day from marts.dim_member") == [(0,)]


def test_column_of_a_type_of_an_earlier_release_is_altered(tmp_path: Path, first_day: Database) -> None:
    published(tmp_path, first_day, "create table reports.rpt_span as select interval '3 days' as span")
    first_day.do("alter table reports.rpt_span alter column span type interval using span::interval")
    change = "create table reports.rpt_span as select interval '1 month' as span"
    assert published(tmp_path, first_day, change)[1].problem == ""
    assert first_day.rows("select span from reports.rpt_span") == [("1 month",)]


@pytest.mark.parametrize("limit", [1_000_000, 0], ids=["small", "large"])
def test_long_key_is_no_primary_key(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("pipelines.targets.postgres.LARGE_ROWS", limit)
    keys = {**KEYS, "reports.rpt_source": ("source", "part")}
    # Random letters, which no index can compress. U+0000 becomes three bytes.
    for letters, key in ((100, True), (990, True), (1300, False), (3000, False), (10, True)):
        text = f"(select string_agg(md5((id * 1000 + i)::varchar), '')[:{letters}] from range(120) r(i))"
        change = (
            f"create table reports.rpt_source as select {text} as source, {text} as part from range(3) q(id)"
        )
        _, done = published(tmp_path, database, change, keys=keys)
        assert done.problem == ""
        assert (
            database.rows("select length(source), length(part) from reports.rpt_source")
            == [(letters, letters)] * 3
        )
        assert database.rows(
            "select count(*) from pg_constraint where conrelid = 'reports.rpt_source'::regclass and contype = 'p'"
        ) == [(int(key),)]
    nul = "create table reports.rpt_source as select repeat(chr(0), 900) || i as source, '' as part from range(3) r(i)"
    assert published(tmp_path, database, nul, keys=keys)[1].problem == ""

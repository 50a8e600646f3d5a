"""The union of the shops' warehouses, to query and as a file of its own."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.errors import NoWarehouse, WarehouseError
from pipelines.warehouse import AllShops, Warehouse
from tests.torture.disk import turn_bit_of_block

SHOP = """
create schema rivo_raw; create schema intermediate; create schema marts; create schema reports;
create table rivo_raw.sync_log (observed_at timestamptz, complete boolean);
insert into rivo_raw.sync_log values ('2026-10-05 06:00:00+00', true), ('2026-10-06 06:00:00+00', false);
create table rivo_raw.settings as select 'Europe/Berlin' as timezone;
create table intermediate.int_spent as select 1 as customer_id, 12.5::decimal(9, 2) as spent;
create table marts.dim_member (
    customer_id bigint, spent decimal(18, 4), joined_at timestamptz, born date, tags varchar[],
    home struct(city varchar, zip integer), is_vip boolean, "Odd name" double
);
insert into marts.dim_member values
    (1, 12.3456, '2026-03-29 01:30:00+00', '1990-02-28', ['a', null], {'city': 'Köln', 'zip': 1}, true, 0.1),
    (2, null, null, null, [], null, null, 'nan');
comment on table marts.dim_member is 'One row per member, in {shop}.';
comment on column marts.dim_member.spent is 'Money spent. It''s net.';
create view marts.fct_spent as select * from intermediate.int_spent;
create table reports.rpt_total as select 2 as members, 'x' as "select";
"""
"""SQL of a shop's file: a table with values of several types, and a view of a table that is not united."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shops"


def publish(folder: Path, shop: str, sql: str = "") -> Warehouse:
    """Publish the file of a shop, made by SHOP and more SQL."""
    warehouse = Warehouse(folder / f"{shop}.duckdb")
    with warehouse.build(is_fresh=True) as work:
        work.connection.execute(SHOP.replace("{shop}", shop) + sql)
        work.publish()
    return warehouse


def shops(folder: Path, *names: str) -> AllShops:
    return AllShops({name: publish(folder, name) for name in names})


def rows(shops: AllShops | Warehouse, sql: str) -> list[tuple[Any, ...]]:
    connection = shops.read()
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@pytest.fixture
def target(folder: Path) -> Warehouse:
    return Warehouse(folder.parent / "all_shops.duckdb")


# -- the union -------------------------------------------------------------------------------------


def test_union_has_the_rows_of_all_shops_with_the_shop_as_the_first_column(folder: Path) -> None:
    publish(folder, "de")
    publish(folder, "fr", "insert into marts.dim_member (customer_id) values (9)")
    union = AllShops({name: Warehouse(folder / f"{name}.duckdb") for name in ("de", "fr")})

    assert rows(union, "select shop, customer_id from marts.dim_member order by all") == [
        ("de", 1),
        ("de", 2),
        ("fr", 1),
        ("fr", 2),
        ("fr", 9),
    ]
    assert (
        rows(union, "select shop, sum(spent) from marts.fct_spent group by shop order by shop")[0][0] == "de"
    )
    assert rows(union, "select name from (describe marts.dim_member) t(name)")[:2] == [
        ("shop",),
        ("customer_id",),
    ]
    assert rows(union, "from reports.rpt_total limit 1") == [("de", 2, "x")]


@pytest.mark.parametrize("name", ["select", "shop", "order", "table", "dim_member", "memory_", "x_1"])
def test_union_takes_any_name_of_a_shop(folder: Path, target: Warehouse, name: str) -> None:
    union = shops(folder, name, "de")
    counted = [(name, 2), ("de", 2)]
    sql = "select shop, count(*) from marts.dim_member group by shop order by shop != 'de' desc"
    assert rows(union, sql) == counted
    assert rows(union, f'select count(*) from "{name}".intermediate.int_spent') == [(1,)]
    union.write(target)
    assert rows(target, sql) == counted


@pytest.mark.parametrize("old_is_first", [True, False])
def test_column_or_table_that_an_older_file_lacks_is_null_or_empty_there(
    folder: Path, target: Warehouse, old_is_first: bool
) -> None:
    old = publish(
        folder, "old", "alter table marts.dim_member drop column tags; drop table reports.rpt_total"
    )
    new = publish(folder, "new", "alter table marts.dim_member alter spent type decimal(30, 10)")
    both = {"old": old, "new": new} if old_is_first else {"new": new, "old": old}
    union = AllShops(both)
    union.write(target)
    for read in (union, target):
        sql = "select shop, tags, spent, typeof(spent) from marts.dim_member where customer_id = 1 order by 1"
        [(_, *found), (_, *lacking)] = rows(read, sql)
        assert found[0] == ["a", None]
        assert lacking[0] is None
        assert found[1:] == lacking[1:]
        assert found[2] == "DECIMAL(30,10)"
        assert rows(read, "select distinct shop from reports.rpt_total") == [("new",)]


def test_shop_without_a_warehouse_is_left_out(folder: Path) -> None:
    union = AllShops({"it": Warehouse(folder / "it.duckdb"), "de": publish(folder, "de")})
    assert (union.published, union.left_out) == (("de",), ("it",))
    assert rows(union, "select distinct shop from marts.dim_member") == [("de",)]


def test_union_without_any_warehouse_says_what_to_do(folder: Path, target: Warehouse) -> None:
    union = AllShops({name: Warehouse(folder / f"{name}.duckdb") for name in ("de", "fr")})
    with pytest.raises(NoWarehouse, match=r"^No shop of de, fr has a warehouse yet. Run `.* sync` first.$"):
        union.read()
    with pytest.raises(NoWarehouse):
        union.write(target)
    assert not list(folder.parent.iterdir())


def test_columns_that_cannot_be_united_are_named(folder: Path, target: Warehouse) -> None:
    changed = publish(folder, "fr", "alter table marts.dim_member alter home type integer using 1")
    union = AllShops({"de": publish(folder, "de"), "fr": changed})
    with pytest.raises(
        WarehouseError,
        match=r"^The tables of the shops cannot be united: marts.dim_member of fr \(.* home\). Sync all",
    ):
        union.write(target)
    assert not target.exists
    assert len(rows(union, "select shop, spent from marts.dim_member")) == 4


def test_union_follows_each_publication(folder: Path) -> None:
    union = shops(folder, "de", "fr")
    version = union.version
    assert version == union.version
    publish(folder, "fr", "delete from marts.dim_member")
    assert union.version != version
    assert rows(union, "select distinct shop from marts.dim_member") == [("de",)]


def test_union_is_read_while_a_shop_is_read(folder: Path) -> None:
    union = shops(folder, "de", "fr")
    alone = union.warehouses["de"].read()
    both = union.read()
    publish(folder, "de", "delete from marts.dim_member")
    try:
        assert alone.execute("select count(*) from marts.dim_member").fetchall() == [(2,)]
        assert both.execute("select count(*) from marts.dim_member").fetchall() == [(4,)]
    finally:
        alone.close()
        both.close()


def test_file_that_is_no_warehouse_is_named(folder: Path) -> None:
    union = shops(folder, "de", "fr")
    union.warehouses["fr"].path.write_bytes(b"SQLite format 3\0" * 1000)
    with pytest.raises(WarehouseError, match=r"fr\.duckdb is not a DuckDB database"):
        union.read()


def test_damaged_rows_are_reported_with_the_file_that_has_them(folder: Path, target: Warehouse) -> None:
    # Files that hold the same block cannot be told apart by its checksum.
    many = "create table marts.fct_many as select md5(concat('{}', i)) as text from range(30000) as r(i)"
    union = AllShops({name: publish(folder, name, many.format(name)) for name in ("de", "fr", "it")})
    turn_bit_of_block(
        union.warehouses["fr"].path,
        "select block_id from pragma_storage_info('marts.fct_many') where segment_type = 'VARCHAR' limit 1",
        offset=1_000,
    )
    connection = union.read()
    with pytest.raises(duckdb.Error) as error:
        connection.execute("select max(text) from marts.fct_many").fetchall()
    connection.close()
    found = union.damage(error.value)
    assert found
    assert str(found).startswith(f"{union.warehouses['fr'].path} is damaged")
    assert union.damage(duckdb.BinderException("no such column")) is None
    with pytest.raises(WarehouseError, match=re.escape(f"{union.warehouses['fr'].path} is damaged")):
        union.write(target)
    assert not target.exists


# -- what the connection allows --------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "create table de.marts.u (x int)",
        "insert into de.reports.rpt_total values (9, 'y')",
        "drop table de.reports.rpt_total",
        "from read_csv('{folder}/other.csv')",
        "from read_text('{folder}/other.csv')",
        "from '{folder}/other.csv'",
        "from glob('{folder}/*')",
        "copy reports.rpt_total to '{folder}/out.csv'",
        "export database '{folder}/out'",
        "attach '{folder}/it.duckdb' as it",
        "attach '{folder}/it.duckdb' as it (read_only)",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set temp_directory = '{folder}'",
        "set TimeZone = 'Asia/Tokyo'",
    ],
)
def test_union_allows_neither_writing_into_a_shop_nor_access_to_other_files(folder: Path, sql: str) -> None:
    union = shops(folder, "de", "fr")
    publish(folder, "it")
    (folder / "other.csv").write_text("a\n1\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    connection = union.read()
    try:
        with pytest.raises(duckdb.Error):
            connection.execute(sql.format(folder=folder)).fetchall()
    finally:
        connection.close()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_union_is_in_utc_and_reads_no_python_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    connection = shops(folder, "de").read()
    try:
        secret = connection.sql("select 1 as x")
        assert secret
        assert connection.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]
        [[spill]] = connection.execute("select current_setting('temp_directory')").fetchall()
        assert Path(spill).parent == folder
        with pytest.raises(duckdb.CatalogException, match="secret does not exist"):
            connection.execute("from secret")
    finally:
        connection.close()


def test_time_to_open_grows_with_the_number_of_shops_and_no_faster(folder: Path) -> None:
    names = [f"s{number}" for number in range(40)]
    made = publish(folder, names[0])
    for name in names[1:]:
        (folder / f"{name}.duckdb").write_bytes(made.path.read_bytes())

    def seconds(count: int) -> float:
        union = AllShops({name: Warehouse(folder / f"{name}.duckdb") for name in names[:count]})
        found = []
        for _ in range(3):
            start = time.process_time()
            assert rows(union, "select count(distinct shop) from marts.dim_member") == [(count,)]
            found.append(time.process_time() - start)
        return min(found)

    # If every shop looked at every other one, it would be 16 times as long.
    assert seconds(40) < 8 * seconds(10)


# -- the file --------------------------------------------------------------------------------------


def tables(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    found = connection.execute(
        "select table_schema || '.' || table_name from information_schema.tables "
        "where table_catalog = current_database() and table_schema in ('marts', 'reports') order by all"
    ).fetchall()
    yield from (name for [name] in found)


def test_file_equals_the_union_table_by_table(folder: Path, target: Warehouse) -> None:
    union = shops(folder, "de", "fr")
    union.write(target)
    read, written = union.read(), target.read()
    try:
        assert (
            [*tables(read)]
            == [*tables(written)]
            == ["marts.dim_member", "marts.fct_spent", "reports.rpt_total"]
        )
        for table in tables(read):
            for sql in (f"describe {table}", f"select * replace (null as shop) from {table} order by all"):
                assert str(written.execute(sql).fetchall()) == str(read.execute(sql).fetchall())
            counted = f"select shop, count(*) from {table} group by shop order by shop"
            assert written.execute(counted).fetchall() == read.execute(counted).fetchall()
    finally:
        read.close()
        written.close()


def test_file_has_tables_with_the_descriptions_of_the_shops(folder: Path, target: Warehouse) -> None:
    shops(folder, "de", "fr").write(target)
    assert rows(target, "select count(*) from duckdb_views() where not internal") == [(0,)]
    assert rows(target, "select comment from duckdb_tables() where table_name = 'dim_member'") == [
        ("One row per member, in de.",)
    ]
    described = dict(
        rows(target, "select column_name, comment from duckdb_columns() where table_name = 'dim_member'")
    )
    assert described["spent"] == "Money spent. It's net."
    assert described["shop"] == "Name of the shop in RIVO_SHOPS."


def test_file_says_how_fresh_each_shop_is(folder: Path, target: Warehouse) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    union = AllShops(
        {
            "de": publish(folder, "de"),
            "fr": publish(folder, "fr", "delete from rivo_raw.sync_log; delete from rivo_raw.settings"),
            "it": Warehouse(folder / "it.duckdb"),
        }
    )
    written = union.write(target, {"de": "EUR", "fr": ""})
    assert [(state.shop, state.row_count) for state in written] == [("de", 4), ("fr", 4)]
    found = rows(
        target, "select shop, observed_at, timezone, currency, row_count from meta.shops order by shop"
    )
    assert found == [
        ("de", datetime(2026, 10, 5, 6, tzinfo=UTC), "Europe/Berlin", "EUR", 4),
        ("fr", None, None, None, 4),
    ]
    assert all(before <= published for [published] in rows(target, "select published_at from meta.shops"))
    assert rows(
        target, "select count(*) from duckdb_columns() where schema_name = 'meta' and comment is null"
    ) == [(0,)]


def test_file_is_replaced_as_a_whole_and_open_readers_keep_theirs(folder: Path, target: Warehouse) -> None:
    union = shops(folder, "de", "fr")
    union.write(target)
    reader = target.read()
    publish(folder, "fr", "delete from marts.dim_member; drop table reports.rpt_total")
    union.write(target)
    assert reader.execute("select count(*) from marts.dim_member").fetchall() == [(4,)]
    reader.close()
    assert rows(target, "select shop, count(*) from marts.dim_member group by all") == [("de", 2)]
    assert rows(target, "select distinct shop from reports.rpt_total") == [("de",)]
    left = {path.name for path in target.path.parent.iterdir()}
    assert left == {"shops", "all_shops.duckdb", "all_shops.lock"}


def test_file_that_cannot_be_written_leaves_the_one_before(folder: Path, target: Warehouse) -> None:
    union = shops(folder, "de", "fr")
    union.write(target)
    before = target.path.read_bytes()
    publish(folder, "fr", "alter table marts.dim_member alter home type integer using 1")
    with pytest.raises(WarehouseError):
        union.write(target)
    assert target.path.read_bytes() == before
    assert not list(target.path.parent.glob("*.build.*"))

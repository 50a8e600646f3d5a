"""Any destination of dlt: rows and types of the file, changed rows alone, a mark that is written last."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from pipelines.targets.publishing import publish
from pipelines.warehouse import Warehouse
from tests.harness.postgres_server import PASSWORD
from tests.targets.dlt_destinations import KEYS, DltDestination, Shop
from tests.targets.warehouses import ADDRESS, publish_day

DATABASES = ("duckdb", "postgres")
KINDS = (*DATABASES, "delta", "iceberg", "parquet")
MERGING = ("duckdb", "postgres", "delta", "iceberg")
TABLES = ("marts.ledger", "rivo_raw.points_events", "reports.rpt_small", "rivo_raw._quarantine")


@pytest.mark.parametrize("destination", KINDS, indirect=True)
def test_destination_has_rows_of_file(destination: DltDestination, tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    publish_day(shop.folder)
    [done] = publish(Warehouse(shop.path), "", [destination.target], ("marts", "reports"), KEYS)
    assert done.problem == ""
    shop.check(destination, "marts.dim_member", "marts.fct_ledger", "reports.rpt_constant")
    if destination.kind != "parquet":
        shop.check(destination, "marts.fct_empty")
    assert destination.marks()["marts.dim_member"] == 300
    assert any("marts.fct_member_daily" in note for note in done.notes)


@pytest.mark.parametrize("destination", DATABASES, indirect=True)
def test_types_are_those_of_file(destination: DltDestination, tmp_path: Path) -> None:
    publish_day(tmp_path / "shop")
    [done] = publish(
        Warehouse(tmp_path / "shop" / "rivo.duckdb"), "", [destination.target], ("marts", "reports"), KEYS
    )
    assert done.problem == ""
    if destination.kind == "postgres":
        found = destination.rows(
            "pg_attribute where attrelid = 'marts.dim_member'::regclass and attnum > 0 order by attnum",
            "attname, format_type(atttypid, atttypmod)",
        )
        names = {
            "BIGINT": "bigint",
            "VARCHAR": "character varying",
            "INTEGER": "integer",
            "DOUBLE": "double precision",
            "HUGEINT": "numeric(38,0)",
            "BOOLEAN": "boolean",
            "DATE": "date",
            "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
            "TIMESTAMP": "timestamp without time zone",
            "JSON": "jsonb",
        }
    else:
        found = destination.rows("(describe marts.dim_member)", "column_name, column_type")
        names = {"HUGEINT": "DECIMAL(38,0)"}
    with duckdb.connect(str(tmp_path / "shop" / "rivo.duckdb"), read_only=True) as connection:
        expected = connection.execute("describe marts.dim_member").fetchall()
    assert found == [(row[0], names.get(row[1], row[1])) for row in expected]


@pytest.mark.parametrize("destination", KINDS, indirect=True)
def test_times_of_any_precision_and_bytes_arrive(destination: DltDestination, tmp_path: Path) -> None:
    shop = Shop.made(tmp_path / "shop", 50)
    shop.do(
        "create table reports.rpt_types as select i as id, "
        "case i when 0 then '2026-03-29 02:30:01'::timestamp_s when 1 then '1969-12-31 23:59:59' end as seconds, "
        "case i when 0 then '2026-03-29 02:30:01.987'::timestamp_ms when 1 then '1969-12-31 23:59:59.999' end "
        "as milliseconds, "
        r"case i when 0 then '\xAA\x00'::blob when 1 then ''::blob end as bytes from range(3) r(i)"
    )
    assert shop.publish(destination, schemas=("reports",)).problem == ""
    shop.check(destination, "reports.rpt_types")


@pytest.mark.parametrize("destination", DATABASES, indirect=True)
def test_dlt_writes_no_descriptions_into_this_database(destination: DltDestination, tmp_path: Path) -> None:
    """docs/targets-dlt.md says so; if this fails, a later dlt does."""
    shop = Shop.made(tmp_path / "shop", 50)
    assert shop.publish(destination, schemas=("marts",)).problem == ""
    if destination.kind == "duckdb":
        assert destination.rows("duckdb_columns() where comment is not null", "column_name") == []
    else:
        assert destination.rows("pg_description where objoid = 'marts.ledger'::regclass", "description") == []


@pytest.mark.parametrize("destination", MERGING, indirect=True)
def test_changes_alone_are_sent(destination: DltDestination, tmp_path: Path) -> None:
    shop = Shop.made(tmp_path / "shop")
    assert shop.publish(destination).problem == ""
    shop.check(destination, *TABLES)
    again = shop.publish(destination)
    assert (again.written, again.unchanged, again.rows) == (0, 7, 0)
    shop.next_day()
    shop.do("update marts.ledger set email = 'changed', tags = '{\"a\": 1}' where id in (703, 5503)")
    shop.do("update rivo_raw.points_events set _last_seen_at = timestamptz '2026-09-02'")
    shop.do("insert into rivo_raw.points_events values (5004000, 'new', 1, null, null)")
    changed = shop.publish(destination)
    assert changed.problem == ""
    # The two rows, the new one, those of the same ranges of ids, the sync log, and the time of the publication.
    assert 4 <= changed.rows <= 60
    shop.check(destination, *TABLES, but="_last_seen_at")
    if destination.kind == "iceberg":
        return
    shop.next_day()
    shop.do("delete from marts.ledger where id in (700, 5500) or id between 9000 and 9300")
    deleted = shop.publish(destination)
    assert deleted.problem == ""
    assert deleted.rows <= 60
    shop.check(destination, *TABLES, but="_last_seen_at")


@pytest.mark.parametrize("destination", ["duckdb", "iceberg"], indirect=True)
def test_changed_columns_arrive(destination: DltDestination, tmp_path: Path) -> None:
    shop = Shop.made(tmp_path / "shop", 1500)
    shop.publish(destination)
    shop.next_day()
    shop.do(
        "alter table marts.ledger add column tier varchar; alter table reports.rpt_small alter one type varchar"
    )
    shop.do("update marts.ledger set tier = 'gold' where id = 703")
    done = shop.publish(destination)
    assert done.problem == ""
    shop.check(destination, *TABLES)
    if destination.kind == "duckdb":
        assert done.rows <= 60
    shop.next_day()
    shop.do("alter table marts.ledger drop column amount; drop table reports.rpt_small")
    assert shop.publish(destination).problem == ""
    shop.check(destination, "marts.ledger")
    assert "reports.rpt_small" not in destination.marks()
    if destination.kind in DATABASES:
        with pytest.raises(Exception, match="rpt_small"):
            destination.rows("reports.rpt_small")


def test_days_cost_what_changed(destination: DltDestination, tmp_path: Path) -> None:
    shop = Shop.made(tmp_path / "shop", 20_000)
    shop.publish(destination)
    for day in range(1, 5):
        shop.next_day()
        shop.do(
            f"insert into rivo_raw.points_events select 5020000 + {day} * 100 + i, 'new', 1, null, null "
            f"from range(100) r(i); update rivo_raw.points_events set _last_seen_at = now(); "
            f"update marts.ledger set email = 'd{day}' where id % 5000 = {day}; "
            f"delete from marts.ledger where id = 700 + 3 * {day * 50}"
        )
        assert shop.publish(destination).problem == ""
    shop.check(destination, *TABLES, but="_last_seen_at")
    assert max(done.rows for done in shop.sent[1:]) <= 300
    assert {done.written for done in shop.sent[1:]} == {4}
    # dlt's notes do not grow with the days.
    assert destination.rows("marts._dlt_version", "count(*)") == [(1,)]
    assert destination.rows("marts_staging.ledger", "count(*)") == [(0,)]


def test_failure_leaves_mark_and_next_publication_repairs(
    destination: DltDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop.made(tmp_path / "shop")
    for first in (True, False):
        if not first:
            shop.next_day()
            shop.do(
                "update marts.ledger set email = 'lost' where id < 2000; insert into marts.ledger (id) values (1)"
            )
            before = destination.marks()
        with monkeypatch.context() as broken:
            # A table of the last dataset cannot be read, after the others have been loaded.
            broken.setattr(
                "pipelines.targets.dlt_destination.OpenedDestination.load", _failing_load("rivo_raw")
            )
            failed = shop.publish(destination)
        assert "the network is gone" in failed.problem
        if not first:
            assert destination.marks() == before
            # Rows that the failed publication had sent and the warehouse no longer has must go as well.
            shop.next_day()
            shop.do(
                "delete from marts.ledger where id = 1; update marts.ledger set email = 'kept' where id < 800"
            )
        assert shop.publish(destination).problem == ""
        shop.check(destination, *TABLES)
        assert destination.marks()["marts.ledger"] == 4000


def _failing_load(dataset: str):  # type: ignore[no-untyped-def]
    from pipelines.targets.dlt_destination import OpenedDestination

    load = OpenedDestination.load

    def fail(self: OpenedDestination, name: str, loads: list) -> None:
        if name == dataset:
            raise OSError("the network is gone")
        load(self, name, loads)

    return fail


def test_older_day_and_other_warehouse_are_refused(destination: DltDestination, tmp_path: Path) -> None:
    shop = Shop.made(tmp_path / "shop", 50)
    newer = Shop.made(tmp_path / "newer", 60)
    newer.next_day()
    assert newer.publish(destination).problem == ""
    assert "holds newer data, as of 2026-09-02 03:00:00 UTC" in shop.publish(destination).problem
    other = Shop.made(tmp_path / "other", 70, warehouse_id="second")
    other.day = 3
    assert "holds the data of another warehouse" in other.publish(destination).problem
    assert destination.marks()["marts.ledger"] == 60
    assert shop.publish(destination, replace_all=True).problem == ""
    shop.check(destination, *TABLES)


def test_shops_share_a_destination(destination: DltDestination, tmp_path: Path) -> None:
    shops = [Shop.made(tmp_path / name, 1200, name, name) for name in ("de", "fr")]
    for shop in shops:
        assert shop.publish(destination).problem == ""
    shops[0].next_day()
    shops[0].do("update marts.ledger set email = 'x' where id = 703")
    assert shops[0].publish(destination).problem == ""
    for shop in shops:
        shop.check(destination, *TABLES)
    assert {name.partition("_")[0] for name in destination.marks()} == {"de", "fr"}


@pytest.mark.parametrize("destination", ["duckdb", "parquet"], indirect=True)
def test_tables_of_others_are_refused(destination: DltDestination, tmp_path: Path) -> None:
    if destination.kind == "duckdb":
        with duckdb.connect(str(destination.place)) as connection:
            connection.execute(
                "create schema reports; create table reports.rpt_small as select 'mine' as note"
            )
    else:
        (destination.place / "reports" / "rpt_small").mkdir(parents=True)
        duckdb.execute(f"copy (select 'mine' as note) to '{destination.place}/reports/rpt_small/1.parquet'")
    assert "rivo-warehouse did not write it" in Shop.made(tmp_path / "shop", 50).publish(destination).problem
    assert destination.rows("reports.rpt_small") == [("mine",)]


def test_table_dropped_in_the_destination_comes_back(destination: DltDestination, tmp_path: Path) -> None:
    shop = Shop.made(tmp_path / "shop", 1500)
    shop.publish(destination)
    with duckdb.connect(str(destination.place)) as connection:
        connection.execute("drop table marts.ledger")
    assert shop.publish(destination).written == 1
    shop.check(destination, *TABLES)


@pytest.mark.parametrize("destination", ["postgres", "delta", "parquet"], indirect=True)
def test_purge_leaves_no_version_of_an_erased_person(destination: DltDestination, tmp_path: Path) -> None:
    shop = Shop.made(tmp_path / "shop", 1500)
    shop.do(f"update marts.ledger set email = '{ADDRESS}' where id = 703")
    shop.publish(destination)
    shop.do("update marts.ledger set email = 'erased-1' where id = 703")
    done = shop.publish(destination, purge=True)
    assert done.problem == ""
    shop.check(destination, *TABLES)
    if destination.kind == "postgres":
        assert destination.database is not None
        assert ADDRESS not in destination.database.dump()
    elif destination.kind != "duckdb":
        files = [file for file in destination.place.rglob("*") if file.is_file()]
        assert [file for file in files if ADDRESS.encode() in file.read_bytes()] == []


@pytest.mark.parametrize("destination", ["postgres"], indirect=True)
def test_errors_are_sentences_without_secrets(
    destination: DltDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop.made(tmp_path / "shop", 50)
    assert shop.publish(destination).problem == ""

    def problem(url: str, password: str | None) -> str:
        text = shop.publish(DltDestination("", url, destination.place, None, password)).problem
        assert "\n" not in text
        assert PASSWORD not in text
        assert "wrong-word" not in text
        return text

    assert "password authentication failed" in problem("dlt:postgres", "wrong-word")
    assert "DESTINATION__POSTGRES__CREDENTIALS is not set" in problem("dlt:postgres", None)
    assert "DESTINATION__OTHER__CREDENTIALS is not set" in problem("dlt:postgres?name=other", PASSWORD)
    assert "dlt has no destination nothing" in problem("dlt:nothing", None)
    assert "the option speed is not known" in problem("dlt:duckdb?speed=1", None)
    url = f"postgresql://dagster:wrong-word@127.0.0.1:{destination.database.server.port}/postgres"  # type: ignore[union-attr]
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    assert "password authentication failed" in problem("dlt:postgres", None)
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS__PORT", "1")
    monkeypatch.setenv(
        "DESTINATION__BIGQUERY__CREDENTIALS", '{"project_id": "p", "private_key": "wrong-word"}'
    )
    monkeypatch.setenv("DESTINATION__SNOWFLAKE__CREDENTIALS", "snowflake://me:wrong-word@account/db")
    assert "make install EXTRAS=snowflake" in problem("dlt:snowflake", None)


def test_nothing_of_dlt_is_kept_beside_the_warehouse(destination: DltDestination, tmp_path: Path) -> None:
    shop = Shop.made(tmp_path / "shop", 1500)
    shop.publish(destination)
    assert sorted(file.name for file in shop.folder.iterdir()) == [
        "rivo.duckdb",
        "rivo.targets.json",
        "rivo.targets.lock",
        "working.duckdb",
    ]
    assert not [name for name in os.environ if name.startswith("LOAD__")]

"""A shop that gets a name in RIVO_SHOPS, or loses it: the target keeps no copy under the former one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.targets.publication import Publication
from pipelines.targets.publishing import publish
from tests.targets.databases import Database
from tests.targets.dlt_destinations import DltDestination, Shop
from tests.targets.lakes import in_lake
from tests.targets.parquet_readers import FOLDER, Place, publish_files
from tests.targets.s3 import BUCKET, S3
from tests.targets.warehouses import ADDRESS, KEYS, SCHEMAS, publish_day


@pytest.fixture(params=["s3", "folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "s3":
        return Place(f"s3://{BUCKET}/{FOLDER}", tmp_path / "copies", request.getfixturevalue("s3"))
    return Place((tmp_path / FOLDER).as_uri(), tmp_path / "copies")


def test_files_have_one_copy(tmp_path: Path, place: Place) -> None:
    warehouse = publish_day(tmp_path / "warehouse")
    for former, shop in (("", "de"), ("de", "")):
        assert publish_files(warehouse, place, former).problem == ""
        assert publish_files(warehouse, place, shop).problem == ""
        assert place.rows("marts.dim_member", "select count(*) from rows", shop) == [(300,)]
        assert [table["name"] for table in place.current(former)["tables"]] == ["published"]
        addressed = [key for key in place.list_keys() if ADDRESS.encode() in place.content(key)]
        assert addressed == place.files("marts.dim_member", shop) or not addressed
        assert sum("dim_member" in key for key in place.list_keys()) == 1


def test_lake_has_one_copy(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path / "warehouse")
    lake = database.lake(str(tmp_path / "lake"))
    for shop in ("", "de"):
        [done] = publish(warehouse, shop, [lake], SCHEMAS, KEYS)
        assert done.problem == ""
    assert in_lake(database, "select count(*) from marts.dim_member", "rivo_de") == [(300,)]
    assert in_lake(database, "select count(*) from rivo_meta.published", "rivo") == [(0,)]
    assert not [path for path in (tmp_path / "lake" / "rivo").rglob("*.parquet") if "dim_member" in str(path)]
    assert _lakes_with_address(database) == ["rivo_de"]


def _lakes_with_address(database: Database) -> list[str]:
    """Return the schemas of the catalogue whose statistics of columns name the address."""
    return [
        schema
        for schema in ("rivo", "rivo_de")
        if database.rows(
            f"select 1 from {schema}.ducklake_file_column_stats where '{ADDRESS}' in (min_value, max_value) "
            f"union select 1 from {schema}.ducklake_table_column_stats where '{ADDRESS}' in (min_value, max_value)"
        )
    ]


def test_copy_of_another_warehouse_that_took_the_name_stays(tmp_path: Path, database: Database) -> None:
    lake = database.lake(str(tmp_path / "lake"))
    warehouse = publish_day(tmp_path / "warehouse")
    other = publish_day(tmp_path / "other", warehouse_id="other")
    done: list[Publication] = [
        *publish(warehouse, "", [lake], SCHEMAS, KEYS),
        *publish(other, "", [lake], SCHEMAS, KEYS, replace_all=True),
        *publish(warehouse, "de", [lake], SCHEMAS, KEYS),
    ]
    assert [each.problem for each in done] == ["", "", ""]
    for schema in ("rivo", "rivo_de"):
        assert in_lake(database, "select count(*) from marts.dim_member", schema) == [(300,)]


def test_copy_is_deleted_later_if_its_place_fails(tmp_path: Path, s3: S3) -> None:
    place = Place(f"s3://{BUCKET}/{FOLDER}", tmp_path / "copies", s3)
    warehouse = publish_day(tmp_path / "warehouse")
    publish_files(warehouse, place)
    refused = f"{FOLDER}/current.json"
    s3.fails = lambda method, path: (
        (403, "AccessDenied") if method == "PUT" and path.endswith(refused) else None
    )
    problem = publish_files(warehouse, place, "de").problem
    assert "the copy from before the shop was renamed is still there" in problem
    assert sum("dim_member" in key for key in place.list_keys()) == 2
    s3.fails = lambda _method, _path: None
    assert publish_files(warehouse, place, "de").problem == ""
    assert sum("dim_member" in key for key in place.list_keys()) == 1


@pytest.mark.parametrize("destination", ["duckdb", "parquet"], indirect=True)
def test_destination_of_dlt_has_one_copy(tmp_path: Path, destination: DltDestination) -> None:
    shop = Shop.made(tmp_path / "shop")
    assert shop.publish(destination).problem == ""
    shop.name = "de"
    assert shop.publish(destination).problem == ""
    shop.check(destination, "marts.ledger")
    if destination.kind == "duckdb":
        tables = destination.rows(
            "information_schema.tables where table_name = 'ledger'", "table_schema, table_name"
        )
        assert sorted(tables) == [("de_marts", "ledger"), ("de_marts_staging", "ledger")]
        assert destination.rows("rivo_meta.published", "distinct shop") == [("de",)]
    else:
        assert not list((destination.place / "marts").rglob("*.parquet"))

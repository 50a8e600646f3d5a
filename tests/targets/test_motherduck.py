"""The statements that a target in MotherDuck gets, run on a DuckDB file: the service itself cannot be reached."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from pydantic import SecretStr

from pipelines.target_settings import TargetSetting
from pipelines.targets import motherduck
from pipelines.targets.publication import Publication
from pipelines.targets.publishing import publish
from pipelines.warehouse import Warehouse
from tests.targets.test_postgres import NEW, comparable, in_file
from tests.targets.warehouses import KEYS, SCHEMAS, publish_day

TARGET = TargetSetting("duck", "motherduck", "md:loyalty", SecretStr("a-token-of-motherduck"))


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that takes the place of the service's database."""
    file = tmp_path / "service.duckdb"

    def connect(connection: duckdb.DuckDBPyConnection, _target: TargetSetting) -> str:
        if file.exists():
            connection.execute(f"attach if not exists '{file}' as loyalty")
        return "loyalty"

    def create(connection: duckdb.DuckDBPyConnection, name: str) -> None:
        connection.execute(f"attach if not exists '{file}' as \"{name}\"")

    monkeypatch.setattr(motherduck, "_connect", connect)
    monkeypatch.setattr(motherduck, "_create", create)
    return file


def to_service(warehouse: Warehouse, shop: str = "", *, purge: bool = False) -> Publication:
    [done] = publish(warehouse, shop, [TARGET], SCHEMAS, KEYS, purge=purge)
    return done


def in_service(file: Path, sql: str) -> list[tuple[object, ...]]:
    return in_file(Warehouse(file), sql)


def test_statements_write_rows_types_and_comments(tmp_path: Path, service: Path) -> None:
    warehouse = publish_day(tmp_path / "warehouse")
    assert to_service(warehouse).problem == ""
    for table in ("marts.dim_member", "marts.fct_member_daily", "reports.rpt_day"):
        assert comparable(in_service(service, f"from {table}")) == comparable(
            in_file(warehouse, f"from {table}")
        )
    assert in_service(service, "select comment from duckdb_tables() where table_name = 'dim_member'") == [
        ('One row per member: "quoted", it\'s so.',)
    ]
    again = to_service(warehouse)
    assert (again.written, again.unchanged) == (0, NEW)


def test_shops_share_a_database(tmp_path: Path, service: Path) -> None:
    for shop, day in (("de", 1), ("fr", 2)):
        assert to_service(publish_day(tmp_path / shop, day, warehouse_id=shop), shop).problem == ""
    assert in_service(service, "from de_reports.rpt_day union all from fr_reports.rpt_day") == [
        (1, "report of day 1"),
        (2, "report of day 2"),
    ]
    assert in_service(service, "select count(*) from fr_marts.fct_member_daily") == [(19 * 31,)]


def test_older_day_is_refused_and_purge_says_what_stays(tmp_path: Path, service: Path) -> None:
    to_service(publish_day(tmp_path / "warehouse", 1))
    assert "holds newer data" in to_service(publish_day(tmp_path / "warehouse")).problem
    done = to_service(publish_day(tmp_path / "warehouse", 2), purge=True)
    assert done.problem == ""
    assert "older versions" in done.notes[0]


def test_token_is_not_in_errors(tmp_path: Path) -> None:
    [failed] = publish(publish_day(tmp_path / "warehouse"), "", [TARGET], SCHEMAS, KEYS)
    assert "RIVO_TARGET_DUCK" in failed.problem
    assert "a-token-of-motherduck" not in failed.problem

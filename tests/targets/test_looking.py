"""`rivo doctor` asks each target whether a sync can publish to it, and writes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.target_settings import TargetSetting
from pipelines.targets.last_publications import LastPublication
from pipelines.targets.publishing import look_at, publish
from pipelines.warehouse import Warehouse
from tests.targets.databases import Database
from tests.targets.s3 import BUCKET, S3
from tests.targets.warehouses import KEYS, SCHEMAS, publish_day

KINDS = ("postgres", "ducklake", "folder", "s3", "dlt")


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TargetSetting:
    if request.param == "folder":
        return TargetSetting("files", "parquet", (tmp_path / "files").as_uri())
    if request.param == "s3":
        request.getfixturevalue("s3")
        return TargetSetting("files", "parquet", f"s3://{BUCKET}/files")
    if request.param == "dlt":
        monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "destination.duckdb"))
        return TargetSetting("elsewhere", "dlt", "dlt:duckdb")
    database: Database = request.getfixturevalue("database")
    return database.target() if request.param == "postgres" else database.lake(str(tmp_path / "lake"))


def state_of(warehouse: Warehouse, target: TargetSetting, shop: str = "") -> LastPublication:
    [(asked, state)] = look_at(warehouse, shop, [target])
    assert asked == target
    return state


def test_target_says_what_it_holds(tmp_path: Path, target: TargetSetting) -> None:
    no_warehouse = Warehouse(tmp_path / "none" / "rivo.duckdb")
    warehouse = publish_day(tmp_path / "warehouse", 1)
    for asking in (no_warehouse, warehouse):
        assert state_of(asking, target) == LastPublication()
    # Still empty: it accepts the data of another warehouse.
    other = publish_day(tmp_path / "other", 1, warehouse_id="other")
    [done] = publish(other, "", [target], SCHEMAS, KEYS)
    assert done.problem == ""
    assert state_of(other, target) == LastPublication(datetime(2026, 9, 2, 3, 0, tzinfo=UTC))
    for asking in (no_warehouse, warehouse):
        assert f"{target.variable} holds the data of another warehouse" in state_of(asking, target).problem
    assert state_of(warehouse, target, "de") == LastPublication()
    older = publish_day(tmp_path / "other", 0, warehouse_id="other")
    assert "holds newer data, as of 2026-09-02 03:00:00 UTC" in state_of(older, target).problem


def test_right_that_is_missing_is_named(tmp_path: Path, database: Database) -> None:
    warehouse = publish_day(tmp_path / "warehouse")
    name = database.name
    database.do(f"create role reader_{name} login password 'a-password-of-a-reader'")
    url = database.url.replace("dagster@", f"reader_{name}@")
    problem = state_of(warehouse, database.target(url, "a-password-of-a-reader")).problem
    database.do(f"drop role reader_{name}")
    assert problem.startswith("RIVO_TARGET_PG: its user may not create schemas in the database")


def test_server_that_refuses_is_a_sentence(tmp_path: Path, database: Database, s3: S3) -> None:
    warehouse = publish_day(tmp_path / "warehouse")
    for target in (
        database.target(password="not-the-password"),
        TargetSetting("lake", "ducklake", f"ducklake:{database.url}?data={tmp_path}/lake"),
    ):
        problem = state_of(warehouse, target).problem
        assert problem.startswith(target.variable)
        assert "not-the-password" not in problem
    s3.fails = lambda _method, _path: (403, "SignatureDoesNotMatch")
    files = TargetSetting("files", "parquet", f"s3://{BUCKET}/files")
    assert "refuses the secret key" in state_of(warehouse, files).problem

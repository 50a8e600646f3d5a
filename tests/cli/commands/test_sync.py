"""`rivo sync` as a user runs it: what it prints, how it exits, what it leaves behind."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from cli import exits
from dbt_like_sql.runner import load_project
from pipelines.rivo.endpoints import ENDPOINTS
from sandbox import Fault, Server
from tests.cli.conftest import KEY, Rivo

TITLES = tuple(endpoint.title for endpoint in ENDPOINTS.values())


def published(tmp_path: Path) -> Path:
    return tmp_path / "warehouse" / "rivo.duckdb"


def one(path: Path, sql: str) -> object:
    with duckdb.connect(str(path), read_only=True) as connection:
        row = connection.execute(sql).fetchone()
    assert row
    return row[0]


def test_a_sync_ends_with_a_summary_and_a_second_one_changes_nothing(
    rivo: Rivo, store: Server, tmp_path: Path
) -> None:
    first = rivo("sync")

    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stderr == ""
    for title in TITLES:
        assert title in first.stdout
    assert f"Models     {len(load_project().models)} built" in first.stdout
    assert "0 failed" in first.stdout
    assert "warehouse/rivo.duckdb" in first.stdout
    assert "query" in first.stdout

    with duckdb.connect(str(published(tmp_path)), read_only=True) as reader:
        second = rivo("sync", "--json")
        assert reader.execute("select count(*) from rivo_raw.sync_log").fetchone() == (len(ENDPOINTS),)

    assert second.returncode == 0, second.stderr
    told = json.loads(second.stdout)
    assert (told["outcome"], told["exit_code"], told["problems"]) == ("done", 0, [])
    assert told["warehouse"]["path"] == str(published(tmp_path))
    assert told["warehouse"]["published"]
    assert [each["title"] for each in told["lists"]] == list(TITLES)
    assert told["models"] == {"success": len(load_project().models)}
    assert told["checks"]["pass"] > 400
    assert "Points Events" in second.stderr
    changes = "select sum(rows_new + rows_changed + rows_deleted) from rivo_raw.sync_log"
    assert one(published(tmp_path), f"{changes} where rowid >= {len(ENDPOINTS)}") == 0
    assert one(published(tmp_path), "select count(*) from rivo_raw.sync_log") == 2 * len(ENDPOINTS)

    tables = rivo("query", "select count(*) as members from marts.dim_member", "--format", "csv")
    assert tables.stdout.splitlines() == [
        "members",
        str(one(published(tmp_path), "select count(*) from marts.dim_member")),
    ]
    no_writing = rivo("query", "create table marts.x as select 1")
    assert no_writing.returncode == 1
    assert "read-only" in no_writing.stderr
    no_reading = rivo("query", f"select * from read_text('{tmp_path}/dagster/dagster.yaml')")
    assert no_reading.returncode == 1

    # The key is in no byte that two syncs leave behind or print, Dagster's storage included.
    assert KEY not in first.stdout + second.stdout
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    # Nothing is left of the working copy.
    assert sorted(path.name for path in (tmp_path / "warehouse").iterdir()) == ["rivo.duckdb", "rivo.lock"]


def test_a_failed_list_is_told_and_the_rest_is_published(rivo: Rivo, store: Server, tmp_path: Path) -> None:
    store.faults = [Fault("http_403", list="rewards")]
    try:
        result = rivo("sync", "--json")
    finally:
        store.faults = []

    assert result.returncode == 1
    sentence = "Rewards could not be read: the list is not allowed for this key (403)"
    assert sentence in result.stderr
    told = json.loads(result.stdout)
    assert told["outcome"] == "failed"
    assert told["warehouse"]["published"]
    assert any(problem.startswith(sentence) for problem in told["problems"])
    assert [each["list"] for each in told["lists"] if not each["complete"]] == ["rewards"]
    status = rivo("status")
    assert status.returncode == exits.FAILED
    assert f"Problem     {sentence}" in status.stdout
    assert one(published(tmp_path), "select count(*) from rivo_raw.points_events") != 0
    assert one(published(tmp_path), "select complete from rivo_raw.sync_log where list = 'rewards'") is False
    assert one(published(tmp_path), "select count(*) from reports.rpt_redemption_rates") is not None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"RIVO_API_KEY": "wrong-key-1234"}, "Rivo refused the key (401)."),
        ({"RIVO_API_URL": "http://127.0.0.1:9/merchant_api/v1"}, "Nothing answers at http://127.0.0.1:9"),
        (
            {"RIVO_WAREHOUSE": "/dev/null/rivo.duckdb"},
            "The warehouse /dev/null/rivo.duckdb cannot be written",
        ),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence(
    rivo: Rivo, settings: dict[str, str], sentence: str
) -> None:
    result = rivo("sync", **settings)

    assert result.returncode == 1
    assert result.stdout.count("The sync failed.") == 1
    assert sentence in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert "wrong-key-1234" not in result.stdout + result.stderr


def test_a_failed_sync_leaves_the_published_file_alone(rivo: Rivo, store: Server, warehouse: Path) -> None:
    before = warehouse.read_bytes()
    now = store.now
    store.now = now + timedelta(days=1)
    try:
        assert rivo("sync", RIVO_API_KEY="wrong-key-1234").returncode == 1
        assert warehouse.read_bytes() == before
        assert rivo("sync", "--only", "customers,vip_tiers").returncode == 0
    finally:
        store.now = now
    assert one(warehouse, "select count(*) from rivo_raw.sync_log") == len(ENDPOINTS) + 2


def test_settings_that_cannot_be_used_are_named(rivo: Rivo) -> None:
    result = rivo("sync", "--json", RIVO_TIMEZONE="Mars/Olympus", RIVO_RATE_LIMIT="fast")

    assert result.returncode == 1
    assert "RIVO_TIMEZONE: 'Mars/Olympus' is not an IANA time zone" in result.stderr
    assert "RIVO_RATE_LIMIT" in result.stderr
    assert json.loads(result.stdout)["outcome"] == "failed"
    assert "Traceback" not in result.stderr


def test_wrong_usage_exits_with_2(rivo: Rivo) -> None:
    result = rivo("sync", "--only", "customer")

    assert result.returncode == 2
    assert "the lists are vip_tiers" in result.stderr


def test_doctor_looks_and_writes_nothing(rivo: Rivo, tmp_path: Path) -> None:
    result = rivo("doctor")

    assert result.returncode == 0, result.stdout
    for title in TITLES:
        assert f"ok       {title}: reachable, cursor honoured" in result.stdout
    assert not (tmp_path / "warehouse").exists()


def test_without_a_warehouse_it_is_said_what_to_do(rivo: Rivo) -> None:
    for command in (("query", "select 1"), ("status",), ("models", "test")):
        result = rivo(*command)

        assert result.returncode == exits.NO_WAREHOUSE
        assert "Run `make sync` first" in result.stderr
        assert "a demo" in result.stderr

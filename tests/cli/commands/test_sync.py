"""`rivo sync` on the command line: output, exit codes and files."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from cli import exits
from pipelines.rivo.endpoints import ENDPOINTS
from sandbox import Fault, Server
from tests.cli.conftest import KEY, Rivo
from tests.harness.store import project
from tests.harness.stub import Reply, answering

TITLES = tuple(endpoint.title for endpoint in ENDPOINTS.values())


def published(tmp_path: Path) -> Path:
    return tmp_path / "warehouse" / "rivo.duckdb"


def one(path: Path, sql: str) -> object:
    with duckdb.connect(str(path), read_only=True) as connection:
        row = connection.execute(sql).fetchone()
    assert row
    return row[0]


def test_sync_prints_a_summary_and_a_second_sync_changes_nothing(
    rivo: Rivo, server: Server, tmp_path: Path
) -> None:
    first = rivo("sync", RIVO_REPORT="yes")

    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stderr == ""
    for title in TITLES:
        assert title in first.stdout
    assert f"Models     {len(project().models)} built" in first.stdout
    assert "0 failed" in first.stdout
    assert "warehouse/rivo.duckdb" in first.stdout
    assert "query" in first.stdout

    with duckdb.connect(str(published(tmp_path)), read_only=True) as reader:
        second = rivo("sync", "--json")
        assert reader.execute("select count(*) from rivo_raw.sync_log").fetchone() == (len(ENDPOINTS),)

    assert second.returncode == 0, second.stderr
    document = json.loads(second.stdout)
    assert (document["outcome"], document["exit_code"], document["problems"]) == ("done", 0, [])
    assert document["warehouse"]["path"] == str(published(tmp_path))
    assert document["warehouse"]["published"]
    assert [each["title"] for each in document["lists"]] == list(TITLES)
    assert document["models"]["unchanged"] > 10
    assert sum(document["models"].values()) == len(project().models)
    assert document["models"].keys() == {"success", "unchanged"}
    assert document["checks"]["pass"] > 400
    assert "Points Events" in second.stderr
    for each in document["lists"]:
        assert (each["rows_new"], each["rows_changed"], each["rows_deleted"]) == (0, 0, 0), each["title"]
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

    # Neither output nor files contain the key, including Dagster's storage.
    assert KEY not in first.stdout + second.stdout
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    # The working copy is deleted.
    assert sorted(path.name for path in (tmp_path / "warehouse").iterdir()) == [
        "rivo.duckdb",
        "rivo.lock",
        "rivo.report.html",
    ]
    assert "Report     warehouse/rivo.report.html" in first.stdout


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("models", ["+rpt_redemption_rates +rpt_data_trust"])
def test_sync_reports_a_failed_list_and_publishes_the_others(
    rivo: Rivo, server: Server, tmp_path: Path
) -> None:
    server.faults = [Fault("http_403", list="rewards")]
    try:
        result = rivo("sync", "--json")
    finally:
        server.faults = []

    assert result.returncode == 1
    sentence = "Rewards could not be read: the list is not allowed for this key (403)"
    assert sentence in result.stderr
    document = json.loads(result.stdout)
    assert document["outcome"] == "failed"
    assert document["warehouse"]["published"]
    assert any(problem.startswith(sentence) for problem in document["problems"])
    assert [each["list"] for each in document["lists"] if not each["complete"]] == ["rewards"]
    status = rivo("status")
    assert status.returncode == exits.FAILED
    assert f"Problem     {sentence}" in status.stdout
    assert one(published(tmp_path), "select count(*) from rivo_raw.points_events") != 0
    assert one(published(tmp_path), "select complete from rivo_raw.sync_log where list = 'rewards'") is False
    assert one(published(tmp_path), "select count(*) from reports.rpt_redemption_rates") is not None


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"RIVO_API_KEY": "wrong-key-1234"}, "Rivo refused the key (401)."),
        ({"RIVO_API_URL": "http://127.0.0.1:9/merchant_api/v1"}, "Cannot connect to http://127.0.0.1:9"),
        (
            {"RIVO_WAREHOUSE": "/dev/null/rivo.duckdb"},
            "The warehouse /dev/null/rivo.duckdb cannot be written",
        ),
    ],
)
def test_sync_reports_each_cause_of_failure_once(rivo: Rivo, settings: dict[str, str], sentence: str) -> None:
    result = rivo("sync", **settings)

    assert result.returncode == 1
    assert result.stdout.count("The sync failed.") == 1
    assert sentence in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert "wrong-key-1234" not in result.stdout + result.stderr


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("models", ["+dim_member"])
def test_a_failed_sync_leaves_the_published_file_unchanged(
    rivo: Rivo, server: Server, warehouse: Path
) -> None:
    before = warehouse.read_bytes()
    now = server.now
    server.now = now + timedelta(days=1)
    try:
        assert rivo("sync", RIVO_API_KEY="wrong-key-1234").returncode == 1
        assert warehouse.read_bytes() == before
        assert rivo("sync", "--only", "customers,vip_tiers").returncode == 0
    finally:
        server.now = now
    assert one(warehouse, "select count(*) from rivo_raw.sync_log") == len(ENDPOINTS) + 2


def test_sync_names_every_invalid_setting(rivo: Rivo) -> None:
    result = rivo("sync", "--json", RIVO_TIMEZONE="Mars/Olympus", RIVO_RATE_LIMIT="fast")

    assert result.returncode == 1
    assert "RIVO_TIMEZONE: 'Mars/Olympus' is not an IANA time zone" in result.stderr
    assert "RIVO_RATE_LIMIT" in result.stderr
    assert json.loads(result.stdout)["outcome"] == "failed"
    assert "Traceback" not in result.stderr


def test_sync_with_an_unknown_list_exits_with_2(rivo: Rivo) -> None:
    result = rivo("sync", "--only", "customer")

    assert result.returncode == 2
    assert "the lists are vip_tiers" in result.stderr


def test_doctor_checks_every_list_and_writes_nothing(rivo: Rivo, tmp_path: Path) -> None:
    result = rivo("doctor")

    assert result.returncode == 0, result.stdout
    for title in TITLES:
        assert f"ok       {title}: reachable, cursor honoured" in result.stdout
    assert not (tmp_path / "warehouse").exists()


def test_doctor_writes_a_report_for_a_bug_report(rivo: Rivo, tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    for key, code in ((KEY, 0), ("wrong-key-0123456789", 1)):
        result = rivo("doctor", "--report", str(file), RIVO_API_KEY=key)
        assert result.returncode == code, result.stderr
        assert f"The report is in {file}. Read it before" in result.stderr
        assert "Traceback" not in result.stderr
        text = file.read_text()
        assert "Versions" in text
        assert ("Customers: reachable" in text) == (code == 0)
        assert ("ended    Rivo refused the key (401)" in text) == (code == 1)
        assert key not in text


def test_doctor_report_overwrites_no_other_file(rivo: Rivo, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("my notes")
    server.requests.clear()
    for name, message in (
        (file, f"{file} exists and is not a report of `rivo doctor`. Choose another name."),
        (tmp_path / "nowhere" / "report.txt", "cannot be written to"),
    ):
        result = rivo("doctor", "--report", str(name))
        assert (result.returncode, result.stdout) == (1, "")
        assert message in result.stderr
        assert "Traceback" not in result.stderr
    assert file.read_text() == "my notes"
    assert server.requests == []


@pytest.mark.usefixtures("home")
def test_firewall_is_reported_once_by_sync_and_doctor(rivo: Rivo) -> None:
    page = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"
    with answering(lambda asked, n: Reply(page, 403, "text/html; charset=UTF-8")) as stub:
        for command in ("sync", "doctor"):
            result = rivo(command, RIVO_API_URL=stub.url)
            said = result.stdout + result.stderr
            assert result.returncode == 1
            assert said.count("web page answered in place of Rivo's API (status 403)") == 1
            assert "plan" not in said
            assert "Traceback" not in said


@pytest.mark.usefixtures("home")
def test_network_that_cannot_work_is_refused_before_anything_is_read(rivo: Rivo, server: Server) -> None:
    server.requests.clear()
    url = "https://api.example/merchant_api/v1"
    for name, value in (
        ("https_proxy", "socks5://corp:s3cret-pw@127.0.0.1:9"),
        ("https_proxy", "http://corp:s3cret-pw/x@127.0.0.1:9"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
    ):
        for command in ("sync", "doctor"):
            result = rivo(command, RIVO_API_URL=url, **{name: value})
            said = result.stdout + result.stderr
            assert result.returncode == 1
            assert f"{name} " in said
            assert "RIVO_API_URL" not in said
            assert "s3cret" not in said
            assert "Traceback" not in said


def test_commands_without_a_warehouse_say_what_to_run(rivo: Rivo) -> None:
    for command in (("query", "select 1"), ("status",), ("models", "test")):
        result = rivo(*command)

        assert result.returncode == exits.NO_WAREHOUSE
        assert "Run `make sync` first" in result.stderr
        assert "demo shop" in result.stderr

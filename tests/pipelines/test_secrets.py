"""The API key leaves no trace, however a sync ends; staff notes stay in `rivo_raw`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import RivoError
from pipelines.load.sync import SyncOptions, sync_lists
from pipelines.warehouse import Warehouse
from sandbox import Program, Server, serve
from tests.harness.settings import make_settings
from tests.harness.working_copy import working_copy

KEY = "rv-live-3vX9qLm27TzKp48RbWd61YcN"
PARTS = [KEY[n : n + 10].encode() for n in range(0, len(KEY) - 9, 2)]


def traces(folder: Path) -> list[str]:
    """Return the files below a folder that contain ten consecutive characters of the key."""
    return [
        str(file)
        for file in folder.rglob("*")
        if file.is_file() and any(part in file.read_bytes() for part in PARTS)
    ]


def traces_in_tables(path: Path) -> list[str]:
    """Return the tables that contain a part of the key: the file's own bytes may be compressed."""
    connection = Warehouse(path).read()
    try:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables"
        ).fetchall()
        return [
            table
            for schema, table in tables
            for row in connection.execute(f'select * from "{schema}"."{table}"').fetchall()
            if any(part.decode() in str(row) for part in PARTS)
        ]
    finally:
        connection.close()


@pytest.fixture
def store(quiet_program: Program) -> Iterator[Server]:
    with serve(quiet_program, key=KEY, rate_limit=0) as running:
        yield running


@pytest.mark.parametrize("fault", [None, "http_403:rewards", "http_500:rewards", "http_401:rewards"])
def test_api_key_leaves_no_trace(
    store: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    fault: str | None,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "data" / "rivo.duckdb"
    said: list[str] = []
    store.faults = [fault] if fault else ()
    settings = make_settings(store, patience_seconds=0.2)
    try:
        with working_copy(Warehouse(path), settings) as work:
            for result in sync_lists(work, settings, SyncOptions(only=("vip_tiers", "rewards"))):
                said.append(repr(result))
            # What dlt keeps while it works: state, schemas, traces, load packages.
            assert any((work.scratch / "dlt").rglob("*.json"))
            assert traces(work.scratch) == []
            work.publish()
    except RivoError as error:
        said.append(repr(error))
    assert said
    assert traces(tmp_path) == []
    if path.exists():
        assert traces_in_tables(path) == []
    said += [caplog.text, *capfd.readouterr()]
    assert not any(part.decode() in text for part in PARTS for text in said)
    assert len(store.requests) > 0
    assert all(KEY not in str(request) for request in store.requests)


def test_staff_notes_stay_in_raw_tables(first_load: Path) -> None:
    connection = Warehouse(first_load).read()
    try:
        columns = connection.execute(
            "select table_schema, table_name from information_schema.columns where column_name = 'internal_note'"
        ).fetchall()
        assert columns == [("rivo_raw", "points_events")]
        notes = connection.execute(
            "select count(*) from rivo_raw.points_events where internal_note like '%@%'"
        ).fetchone()
        assert notes
        assert notes[0] > 0, "or the test would show nothing"
    finally:
        connection.close()
    models = Path(__file__).parents[2] / "dbt_like_sql" / "models"
    naming = [file.name for file in models.rglob("*.sql") if "internal_note" in file.read_text()]
    # It makes a token of the address. tests/dbt_like_sql/models/test_staff_and_referrals.py searches all other tables.
    assert naming == ["stg_rivo__points_events.sql"]

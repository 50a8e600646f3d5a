"""The API key is in no file that `rivo sync` writes and in none of its output, however the sync ends."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from assets.instance.home import open_instance
from pipelines.warehouse import Warehouse
from sandbox import Program, ProgramOptions, Server, serve
from tests.cli.conftest import RIVO
from tests.harness.command import run_command, start_command

KEY = "rv+live/3vX9qLm27TzKp48RbWd61YcN=="
OTHER = "rv+live/8aB4dHs53QwErT92YuIoPzXc=="


def forms(key: str) -> list[bytes]:
    """Return parts of the key: plain, in hexadecimal digits, URL-quoted, and in base64 at any offset."""
    raw = [key[n : n + 12].encode() for n in range(0, len(key) - 11, 4)]
    found = [*raw, *(part.hex().encode() for part in raw), quote(key, safe="").encode()]
    for before in range(3):
        coded = base64.b64encode(b"x" * before + key.encode()).rstrip(b"=")
        found.append(coded[4:-4])
        found.append(base64.urlsafe_b64encode(b"x" * before + key.encode()).rstrip(b"=")[4:-4])
    return found


FORMS = [form for key in (KEY, OTHER) for form in forms(key)]


def test_forms_find_the_key_in_every_encoding() -> None:
    for text in (
        f"key {KEY}",
        quote(KEY, safe=""),
        base64.b64encode(f"Authorization: {KEY}".encode()).decode(),
        KEY.encode().hex(),
    ):
        assert any(form in text.encode() for form in FORMS)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(Program(ProgramOptions(customers=40, months=3)), key=KEY, rate_limit=0) as server:
        yield server


def traces(folder: Path) -> list[str]:
    """Return the files in a folder that contain any form of the key."""
    found = []
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            found += [str(file)] * any(form in content for form in FORMS)
    return found


def unpacked(folder: Path, warehouse: Path) -> str:
    """Return the text of all tables and of Dagster's records, which are stored compressed."""
    texts = []
    if warehouse.exists():
        with Warehouse(warehouse).read() as connection:
            for schema, table in connection.execute(
                "select schema_name, table_name from duckdb_tables() where not internal"
            ).fetchall():
                texts.append(str(connection.execute(f'from "{schema}"."{table}"').fetchall()))
    os.environ["DAGSTER_HOME"] = str(folder / "dagster")
    try:
        with open_instance() as instance:
            for run in instance.get_runs():
                texts.append(str(run))
                texts.append(str(instance.get_job_snapshot(run.job_snapshot_id or "")))
                texts += [str(entry) for entry in instance.all_logs(run.run_id)]
                texts.append(str(instance.get_run_stats(run.run_id)))
    finally:
        del os.environ["DAGSTER_HOME"]
    return "\n".join(texts)


def kill_while_reading(server: Server, environment: dict[str, str], folder: Path) -> str:
    """Start a sync, kill it after a few requests, and return its output."""
    sync = start_command([RIVO, "sync"], environment, folder, leads_group=True)
    try:
        until = time.monotonic() + 120
        while len(server.requests) < 4 and sync.is_running and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        os.killpg(sync.pid, signal.SIGKILL)
        killed = sync.wait()
    return killed.stdout + killed.stderr


def test_sync_leaves_no_trace_of_the_key(server: Server, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse" / "rivo.duckdb"
    (tmp_path / "tmp").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path / "tmp"),
        "RIVO_ENV_FILE": os.devnull,
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "RIVO_API_KEY": KEY,
        "RIVO_API_URL": server.url,
        "RIVO_RATE_LIMIT": "1000",
        "RIVO_PATIENCE_SECONDS": "1",
        "RIVO_WAREHOUSE": str(warehouse),
    }
    output: list[str] = []

    def sync(key: str = KEY) -> int:
        # The last sync below builds all models.
        settings = {**environment, "RIVO_API_KEY": key}
        done = run_command([RIVO, "sync"], settings, tmp_path, selection="+dim_member")
        output.extend([done.stdout, done.stderr])
        return done.returncode

    def sync_from_scratch() -> int:
        # Without the harness, where the process imports everything itself: some packages write files when imported.
        done = subprocess.run(
            [RIVO, "sync"], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        output.extend([done.stdout, done.stderr])
        return done.returncode

    # Rivo refuses the key.
    assert sync(OTHER) == 1
    assert "RIVO_API_KEY" in "".join(output)
    assert traces(tmp_path) == []

    # The sync is killed while it reads.
    server.requests.clear()
    server.faults = ("slow:customers",)
    output.append(kill_while_reading(server, environment, tmp_path))
    assert server.requests
    assert list(warehouse.parent.glob("*.build.duckdb")), "the sync was not killed while it was running"
    assert traces(tmp_path) == []

    # One list fails while the others load; the next sync succeeds.
    server.faults = ("http_500:rewards",)
    assert sync() == 1
    assert "Rewards" in "".join(output)
    assert traces(tmp_path) == []
    server.faults = ()
    assert sync_from_scratch() == 0

    assert traces(tmp_path) == []
    records = unpacked(tmp_path, warehouse)
    assert "daily_sync" in records
    assert "Rewards" in records
    output.append(records)
    assert not any(form.decode() in text for form in FORMS for text in output)


def test_dagster_job_snapshot_does_not_contain_the_key() -> None:
    from assets.definitions import defs

    os.environ["RIVO_API_KEY"] = KEY
    try:
        snapshot = str(dg.serialize_value(defs.get_repository_def().get_job("daily_sync").get_job_snapshot()))
    finally:
        del os.environ["RIVO_API_KEY"]
    assert not any(form.decode() in snapshot for form in FORMS)

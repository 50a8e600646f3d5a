"""The servers of a DuckLake, its catalogue's and S3: silence, readers, and what they keep of an erased person."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pipelines.settings import PROJECT
from pipelines.target_settings import TargetSetting
from pipelines.targets import ducklake
from pipelines.targets.lake_catalogue import NOT_FREED
from pipelines.targets.postgres_connection import NOT_OWNER
from pipelines.targets.publication import Publication
from pipelines.targets.publishing import publish
from tests.harness.postgres_server import PASSWORD
from tests.targets.databases import Database
from tests.targets.lakes import load_extensions
from tests.targets.s3 import BUCKET, S3
from tests.targets.warehouses import ADDRESS, KEYS, SCHEMAS, publish_day


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return the port of a server that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        accepted: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    accepted.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        # Wakes the thread, which a close does not.
        server.shutdown(socket.SHUT_RDWR)
        for each in accepted:
            each.close()


def publish_within(seconds: float, folder: Path, target: TargetSetting) -> Publication:
    """Publish in a thread, which an extension of DuckDB that waits for ever would not end."""
    done: list[Publication] = []
    warehouse = publish_day(folder / "warehouse", members=5)
    thread = threading.Thread(
        target=lambda: done.extend(publish(warehouse, "", [target], SCHEMAS, KEYS)), daemon=True
    )
    thread.start()
    thread.join(seconds)
    assert done, f"the publication still waits after {seconds} seconds"
    return done[0]


@pytest.mark.parametrize("of_user", [False, True])
def test_silent_catalogue_ends_the_publication(
    tmp_path: Path, silent_port: int, monkeypatch: pytest.MonkeyPatch, of_user: bool
) -> None:
    monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)
    monkeypatch.setattr(ducklake, "_CONNECT_SECONDS", 600 if of_user else 2)
    if of_user:
        monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
    url = f"ducklake:postgresql://rivo@127.0.0.1:{silent_port}/loyalty?data={tmp_path / 'lake'}"
    problem = publish_within(15, tmp_path, TargetSetting("lake", "ducklake", url)).problem
    assert "RIVO_TARGET_LAKE: the lake's catalogue at 127.0.0.1 cannot be used" in problem
    assert "timeout expired" in problem


def test_silent_s3_ends_the_publication(
    tmp_path: Path, database: Database, s3: S3, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent_port}")
    monkeypatch.setattr(ducklake, "_SILENCE_SECONDS", 1)
    started = time.monotonic()
    target = database.lake(f"s3://{BUCKET}/lake")
    assert "Timeout was reached" in publish_within(60, tmp_path, target).problem
    assert time.monotonic() - started < 30


def test_statements_of_the_documentation_work_for_a_reader(tmp_path: Path, database: Database) -> None:
    target = database.lake(str(tmp_path / "lake"))
    [done] = publish(publish_day(tmp_path / "warehouse"), "", [target], SCHEMAS, KEYS)
    assert done.problem == ""
    text = (PROJECT / "docs" / "targets.md").read_text().partition("## DuckLake\n")[2].partition("\n## ")[0]
    text = text.replace("'...'", f"'{PASSWORD}'").replace("database 'loyalty'", f"database '{database.name}'")
    text = text.replace("host 'db.example'", f"host '127.0.0.1', port {database.server.port}")
    text = re.sub(r"rpt_tier_migration|rpt_program_monthly", "rpt_day", text)
    grants, attach, travel = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    try:
        database.do(grants)
        with duckdb.connect() as connection:
            load_extensions(connection)
            assert connection.execute(attach.partition("\n")[2]).fetchall() == [(0, "report of day 0")]
            assert connection.execute(travel).fetchall() == [(0, "report of day 0")]
            # A table of a later release is readable, too.
            later = publish_day(tmp_path / "warehouse", 1, extra_column=True)
            list(publish(later, "", [target], SCHEMAS, KEYS))
            assert connection.execute("select distinct day, tier from lake.marts.dim_member").fetchall() == [
                (1, "gold")
            ]
            assert connection.execute(travel).fetchall() == [(0, "report of day 0")]
            with pytest.raises(duckdb.Error, match="read-only"):
                connection.execute("drop table lake.reports.rpt_day")
    finally:
        database.do("drop owned by analyst cascade; drop role analyst")


def files_with(database: Database, text: str) -> list[Path]:
    """Return the files of the server that have a text after a checkpoint, without its log, which it overwrites."""
    database.do("checkpoint")
    held = [file for file in database.server.data_files() if text.encode() in file.read_bytes()]
    return [file for file in held if "pg_wal" not in str(file)]


@pytest.mark.parametrize("shop", ["", "de"])
def test_purge_leaves_nothing_of_an_erased_person_in_the_catalogue(
    tmp_path: Path, database: Database, shop: str
) -> None:
    # Of a test of its own, since the server still has the databases' files of others.
    address = f"only-{shop}-{ADDRESS}"
    target = database.lake(str(tmp_path / "lake"))
    for day in range(3):
        list(
            publish(publish_day(tmp_path / "warehouse", day, address=address), shop, [target], SCHEMAS, KEYS)
        )
    # As its autovacuum does.
    database.do("analyze")
    assert files_with(database, address)
    erased = publish_day(tmp_path / "warehouse", 2, address="erased-1@example.com")
    [done] = publish(erased, shop, [target], SCHEMAS, KEYS, purge=True)
    assert (done.problem, done.notes) == ("", ())
    assert files_with(database, address) == []


def test_purge_says_that_a_catalogue_cannot_be_freed(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = database.lake(str(tmp_path / "lake"))
    warehouse = publish_day(tmp_path / "warehouse", members=5)
    list(publish(warehouse, "", [target], SCHEMAS, KEYS))
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.targets.lake_catalogue.find_spec", lambda _name: None)
        [done] = publish(warehouse, "", [target], SCHEMAS, KEYS, purge=True)
    assert (done.problem, done.notes) == ("", (NOT_FREED,))
    monkeypatch.setattr("pipelines.targets.postgres_connection._WAIT_SECONDS", 0.2)
    with database.connect() as reader:
        reader.execute("select count(*) from rivo.ducklake_file_column_stats")
        [failed] = publish(warehouse, "", [target], SCHEMAS, KEYS, purge=True)
    assert "the space of deleted rows of its catalogue could not be freed" in failed.problem
    [again] = publish(warehouse, "", [target], SCHEMAS, KEYS, purge=True)
    assert again.problem == ""


def test_purge_says_that_statistics_need_the_owner_of_the_database(
    tmp_path: Path, database: Database
) -> None:
    database.do(
        f"create role loader login password '{PASSWORD}'; grant create on database {database.name} to loader"
    )
    try:
        lake = f"ducklake:{database.url.replace('dagster@', 'loader@')}?data={tmp_path / 'lake'}"
        warehouse = publish_day(tmp_path / "warehouse", members=5)
        [done] = publish(warehouse, "", [database.target(lake)], SCHEMAS, KEYS, purge=True)
        assert (done.problem, done.notes) == ("", (NOT_OWNER,))
    finally:
        database.do("drop owned by loader cascade; drop role loader")

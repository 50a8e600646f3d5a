"""Dagster's storage in Postgres: a sync is recorded without secrets, and a person can be erased."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from pipelines.warehouse import Warehouse
from sandbox import Program, ProgramOptions, Server, serve
from tests.harness.store import Store
from tests.postgres.conftest import PASSWORD, Postgres

KEY = "shpka-secret-0123456789abcdef"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(Program(ProgramOptions(customers=40, months=3)), key=KEY, rate_limit=0) as server:
        yield server


@pytest.fixture
def rivo(postgres: Postgres, server: Server, tmp_path: Path) -> Callable[..., str]:
    """Run `rivo`, which must succeed, and return its output."""
    store = Store(server, tmp_path / "rivo.duckdb", {"pii_key": "a-key-that-is-hard-to-guess"})

    def run(*arguments: str) -> str:
        done = store.rivo(*arguments, DAGSTER_POSTGRES_URL=postgres.url)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_postgres_storage_records_a_sync_and_erases_a_person(
    postgres: Postgres, rivo: Callable[..., str], tmp_path: Path
) -> None:
    before = postgres.sessions()
    said = rivo("sync")
    assert postgres.sessions() - before < 300, (
        "a thousand events, each with connections of its own, take half a minute"
    )
    # The page of dim_member shows its first rows.
    with Warehouse(tmp_path / "rivo.duckdb").read() as connection:
        [(person, email)] = connection.execute(
            "select customer_id, email from marts.dim_member order by customer_id limit 1"
        ).fetchall()
    held = postgres.dump()
    assert "daily_sync" in held
    assert str(person) in held, "or nothing is proved below"
    assert not any(secret in held + said for secret in (KEY, PASSWORD))
    assert not list((tmp_path / "dagster").rglob("*.db"))

    said = rivo("forget", str(person))

    held = postgres.dump()
    assert "daily_sync" in held
    assert str(person) not in held
    assert email not in held
    assert not any(secret in held + said for secret in (KEY, PASSWORD))
    for file in (tmp_path / "dagster").rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file
    assert os.environ.get("DAGSTER_POSTGRES_URL") is None


def test_postgres_storage_deletes_old_runs(
    postgres: Postgres, rivo: Callable[..., str], tmp_path: Path
) -> None:
    def counts() -> list[int]:
        """Count the rows of the old run, of its events and of its checks."""
        with postgres.connection() as connection:
            tables = ("runs", "event_logs", "asset_check_executions")
            asked = [f"select count(*) from {table} where run_id = '{old}'" for table in tables]
            return [connection.execute(sa.text(sql)).scalar_one() for sql in asked]

    rivo("sync")
    with postgres.connection() as connection:
        [old] = connection.execute(sa.text("select run_id from runs order by id desc limit 1")).one()
        connection.execute(sa.text("update runs set create_timestamp = now() - interval '91 days'"))
    rivo("sync")
    assert all(counts()), "tables that have not changed were last made in it"
    # As after a release that changed all models.
    with duckdb.connect(str(tmp_path / "rivo.duckdb")) as warehouse:
        warehouse.execute("update meta.build_results set inputs = null")
    rivo("sync")
    rivo("sync")
    assert counts() == [0, 0, 0]

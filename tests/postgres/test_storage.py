"""Dagster's storage in Postgres: a sync is recorded without secrets, and a person can be erased."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import pytest
import sqlalchemy as sa

from assets.instance.home import open_instance
from assets.instance.retention import delete_old_runs
from pipelines.warehouse import Warehouse
from sandbox import Program, ProgramOptions, serve
from tests.harness.postgres_server import PASSWORD, Postgres
from tests.harness.store import Store

KEY = "shpka-secret-0123456789abcdef"


@dataclass(frozen=True)
class Synced:
    """A shop that was synced once, with Dagster's storage in Postgres."""

    postgres: Postgres
    store: Store
    said: str
    """The output of the sync."""
    sessions: int
    """Number of connections to Postgres that it made."""

    def rivo(self, *arguments: str) -> str:
        """Run `rivo`, which must succeed, and return its output."""
        return _rivo(self.store, self.postgres, *arguments)


def _rivo(store: Store, postgres: Postgres, *arguments: str) -> str:
    done = store.rivo(*arguments, DAGSTER_POSTGRES_URL=postgres.url)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def synced(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synced]:
    """One store for all tests, with a part of the models: each event is a transaction, however many there are."""
    with serve(Program(ProgramOptions(customers=40, months=3)), key=KEY, rate_limit=0) as server:
        path = tmp_path_factory.mktemp("postgres") / "rivo.duckdb"
        store = Store(server, path, {"pii_key": "a-key-that-is-hard-to-guess"}, selection="+dim_member")
        before = postgres.sessions()
        said = _rivo(store, postgres, "sync")
        yield Synced(postgres, store, said, postgres.sessions() - before)


def test_postgres_storage_records_a_sync(synced: Synced) -> None:
    held = synced.postgres.dump()
    with synced.postgres.connection() as connection:
        events = connection.execute(sa.text("select count(*) from event_logs")).scalar_one()

    assert synced.sessions < events / 2, "connections of its own for each event make a sync far slower"
    assert "daily_sync" in held
    assert not any(secret in held + synced.said for secret in (KEY, PASSWORD))
    assert not list((synced.store.path.parent / "dagster").rglob("*.db"))


def test_postgres_storage_deletes_old_runs(synced: Synced) -> None:
    postgres, rivo = synced.postgres, synced.rivo

    def counts() -> list[int]:
        """Count the rows of the old run, of its events and of its checks."""
        with postgres.connection() as connection:
            tables = ("runs", "event_logs", "asset_check_executions")
            asked = [f"select count(*) from {table} where run_id = '{old}'" for table in tables]
            return [connection.execute(sa.text(sql)).scalar_one() for sql in asked]

    with postgres.connection() as connection:
        [old] = connection.execute(sa.text("select run_id from runs order by id desc limit 1")).one()
        connection.execute(sa.text("update runs set create_timestamp = now() - interval '91 days'"))
    rivo("sync")
    assert all(counts()), "tables that have not changed were last made in it"
    # As after a release that changed all models.
    with duckdb.connect(str(synced.store.path)) as warehouse:
        warehouse.execute("update meta.build_results set inputs = null")
    rivo("sync")
    rivo("sync")
    assert counts() == [0, 0, 0]


def test_postgres_storage_lets_a_person_be_erased(synced: Synced) -> None:
    folder = synced.store.path.parent
    # The page of dim_member shows its first rows.
    with Warehouse(synced.store.path).read() as connection:
        [(person, email)] = connection.execute(
            "select customer_id, email from marts.dim_member order by customer_id limit 1"
        ).fetchall()
    assert str(person) in synced.postgres.dump(), "or nothing is proved below"

    said = synced.rivo("forget", str(person))

    held = synced.postgres.dump()
    assert "daily_sync" in held
    assert str(person) not in held
    assert email not in held
    assert not any(secret in held + said for secret in (KEY, PASSWORD))
    for file in (folder / "dagster").rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file
    assert os.environ.get("DAGSTER_POSTGRES_URL") is None


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["de", "fr"]))
def of_shop() -> None:
    """An asset with a partition for each shop."""


def test_postgres_storage_keeps_the_last_run_of_each_shop(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("HOME", str(tmp_path)), ("POSTGRES_URL", postgres.url), ("STORAGE_URL", "")):
        monkeypatch.setenv(f"DAGSTER_{name}", value)
    with open_instance() as instance:
        ours = {"rivo-warehouse/run": "true"}
        first, second, third = [
            dg.materialize([of_shop], instance=instance, partition_key=shop, tags=ours).run_id
            for shop in ("de", "fr", "fr")
        ]
        with postgres.connection() as connection:
            old = sa.text(
                "update runs set create_timestamp = now() - interval '91 days' where run_id in (:a, :b)"
            )
            connection.execute(old, {"a": first, "b": second})

        deleted = delete_old_runs(instance, third, [of_shop.key], 90)

        assert deleted == 1
        assert [bool(instance.get_run_by_id(run_id)) for run_id in (first, second, third)] == [
            True,
            False,
            True,
        ]

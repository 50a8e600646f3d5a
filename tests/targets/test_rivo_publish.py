"""Targets on the command line: a sync publishes to them, `rivo status` shows them, `rivo forget` purges them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from cli.exits import STALE
from pipelines.warehouse import Warehouse
from sandbox import Program, ProgramOptions, serve
from tests.harness.postgres_server import PASSWORD
from tests.harness.settings import RIVO
from tests.harness.store import Store
from tests.targets.databases import Database
from tests.targets.lakes import opened_lake, parquet_files
from tests.targets.test_postgres import comparable, in_file

SCHEMAS = "rivo_raw,marts,reports"


class Install:
    """An install with a target in Postgres and a lake."""

    def __init__(self, store: Store, database: Database, folder: Path) -> None:
        self.store, self.database, self.folder = store, database, folder
        self.variables = {
            "RIVO_PUBLISH": "lake,pg",
            "RIVO_PUBLISH_SCHEMAS": SCHEMAS,
            "RIVO_TARGET_PG": database.url,
            "RIVO_TARGET_PG_PASSWORD": PASSWORD,
            "RIVO_TARGET_LAKE": f"ducklake:{database.url}?data={folder / 'lake'}",
            "RIVO_TARGET_LAKE_PASSWORD": PASSWORD,
            "RIVO_PII_KEY": "a-key-that-cannot-be-guessed",
        }

    def rivo(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [RIVO, *arguments],
            env=self.store.environment(**(self.variables | variables)),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert PASSWORD not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def has(self, word: str) -> list[str]:
        """Return the places in which a word still is."""
        places = ["pg_dump"] if word in self.database.dump() else []
        with duckdb.connect() as connection:
            for file in parquet_files(self.folder / "lake"):
                text = str(connection.execute(f"from read_parquet('{file}')").fetchall())
                if word in text or word.encode() in file.read_bytes():
                    places.append(str(file.relative_to(self.folder)))
        return places


@pytest.fixture
def install(tmp_path: Path, database: Database) -> Iterator[Install]:
    program = Program(ProgramOptions(customers=40, months=3))
    with serve(program, key="key-of-the-shop-0123456789", rate_limit=0) as server:
        yield Install(Store(server, tmp_path / "w" / "rivo.duckdb"), database, tmp_path)


def test_sync_publishes_and_forget_purges(install: Install) -> None:
    _sync_with_a_failing_target(install)
    _every_table_is_equal(install)
    _doctor_asks_the_targets(install)
    status = json.loads(install.rivo("status", "--json").stdout)
    assert {name: state["problem"] for name, state in status["targets"].items()} == {"lake": "", "pg": ""}
    again = install.rivo("publish", "pg")
    assert (again.returncode, " 0 tables" in again.stdout) == (0, True), again.stdout
    _forget_with_a_failing_target(install)
    _every_table_is_equal(install)
    _sync_that_hashes_personal_data(install)


def _sync_that_hashes_personal_data(install: Install) -> None:
    """No target keeps an older version with addresses in clear."""
    [(email,)] = in_file(
        install.store.warehouse, "select min(email) from rivo_raw.customers where email like '%@%'"
    )
    assert install.has(email)
    synced = install.rivo("sync", RIVO_PII="hash")
    assert synced.returncode == 0, synced.stdout + synced.stderr
    assert install.has(email) == []


def _doctor_asks_the_targets(install: Install) -> None:
    examined = install.rivo("doctor", RIVO_TARGET_PG_PASSWORD="not-the-password")
    assert examined.returncode == 1
    lines = examined.stdout.splitlines()
    assert [line[:7].strip() for line in lines if "RIVO_TARGET_" in line] == ["ok", "PROBLEM"]
    assert "target lake (RIVO_TARGET_LAKE) can be reached; it has data as of " in examined.stdout


def _sync_with_a_failing_target(install: Install) -> None:
    """The other target is published to, and the failing one later, without another request to Rivo."""
    synced = install.rivo("sync", "--json", RIVO_TARGET_LAKE_PASSWORD="not-the-password")
    assert synced.returncode == 1
    assert "Publishing to lake, pg" in synced.stderr
    document = json.loads(synced.stdout)
    assert document["warehouse"]["published"] is True
    assert [(each["target"], bool(each["problem"])) for each in document["targets"]] == [
        ("lake", True),
        ("pg", False),
    ]
    assert install.database.rows("select count(*) > 0 from marts.dim_member") == [(True,)]
    assert install.rivo("status").returncode == 1
    requests = len(install.store.server.requests)
    published = install.rivo("publish")
    assert published.returncode == 0, published.stdout
    assert len(install.store.server.requests) == requests
    # The clock of the store is not that of this machine.
    assert install.rivo("status").returncode == STALE


def _forget_with_a_failing_target(install: Install) -> None:
    """The command fails, and the next publication to the failing target deletes the person there."""
    [(id, email)] = in_file(
        install.store.warehouse,
        "select id, email from rivo_raw.customers where email <> '' order by id limit 1",
    )
    assert install.has(email)
    failed = install.rivo("forget", str(id), RIVO_TARGET_LAKE_PASSWORD="not-the-password")
    assert failed.returncode == 1
    assert "RIVO_TARGET_LAKE" in failed.stdout
    assert any(place.startswith("lake/") for place in install.has(email))
    shown = install.rivo("status")
    assert (shown.returncode, "have a person who was erased" in shown.stdout) == (1, True), shown.stdout
    assert install.rivo("publish", "lake").returncode == 0
    assert install.has(email) == []
    assert install.rivo("status").returncode == STALE


def test_publish_says_which_target_is_missing(install: Install) -> None:
    wrong = install.rivo("publish", "lak")
    assert (wrong.returncode, "There is no target lak: RIVO_TARGET_<NAME> has lake, pg" in wrong.stderr) == (
        1,
        True,
    )
    unset = install.rivo("publish", RIVO_PUBLISH="")
    assert (unset.returncode, "RIVO_PUBLISH is not set" in unset.stderr) == (1, True)


def _every_table_is_equal(install: Install) -> None:
    file = install.store.warehouse
    tables = in_file(
        file,
        "select schema_name || '.' || table_name from duckdb_tables() "
        f"where schema_name in {tuple(SCHEMAS.split(','))} and not starts_with(table_name, '_dlt') "
        "union all select schema_name || '.' || view_name from duckdb_views() "
        "where schema_name in ('marts', 'reports')",
    )
    assert len(tables) > 60
    with opened_lake(install.database) as lake:
        lake.execute("use lake")
        for (table,) in tables:
            columns = _columns(file, table, are_json=False)
            rows = comparable(in_file(file, f"select {', '.join(columns)} from {table}"))
            found = lake.execute(f"select {', '.join(columns)} from {table}").fetchall()
            assert comparable(found) == rows, table
            found = install.database.rows(f"select {', '.join(columns)} from {table}")
            assert comparable(found) == rows, table
    for (table,) in tables:
        for name in _columns(file, table, are_json=True):
            values = sorted(
                json.dumps(json.loads(value), sort_keys=True)
                for (value,) in in_file(file, f"select {name} from {table}")
                if value
            )
            found = install.database.rows(f"select {name} from {table} where {name} is not null")
            assert sorted(json.dumps(value, sort_keys=True) for (value,) in found) == values, (table, name)


def _columns(file: Warehouse, table: str, *, are_json: bool) -> list[str]:
    """Return the quoted names of the columns that have JSON, or of all others."""
    kinds = in_file(file, f"select column_name, column_type from (describe {table})")
    return [f'"{name}"' for name, kind in kinds if (kind == "JSON") == are_json]

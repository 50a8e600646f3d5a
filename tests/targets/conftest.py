"""Servers that the tests of this folder share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.postgres_server import PASSWORD, Postgres, serve_postgres
from tests.targets.databases import Database
from tests.targets.dlt_destinations import DltDestination, look_often
from tests.targets.s3 import S3, serve_s3


@pytest.fixture(scope="session")
def s3_service() -> Iterator[S3]:
    with serve_s3() as service:
        yield service


@pytest.fixture
def s3(s3_service: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3:
    """Return an empty bucket, with the environment set so that programs use it."""
    s3_service.reset()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_service.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    return s3_service


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with serve_postgres() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    """Return an empty database of its own."""
    with Database.created(postgres) as made:
        yield made


@pytest.fixture
def destination(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DltDestination:
    """Return a destination of dlt, of the kind that is the parameter; DuckDB without one."""
    look_often()
    for name in [name for name in os.environ if name.startswith("DESTINATION__")]:
        monkeypatch.delenv(name)
    kind = getattr(request, "param", "duckdb")
    place = tmp_path / ("destination.duckdb" if kind == "duckdb" else "destination")
    if kind == "postgres":
        database = request.getfixturevalue("database")
        values = {
            "host": "127.0.0.1",
            "port": database.server.port,
            "database": database.name,
            "username": "dagster",
        }
        for name, value in values.items():
            monkeypatch.setenv(f"DESTINATION__POSTGRES__CREDENTIALS__{name.upper()}", str(value))
        return DltDestination(kind, "dlt:postgres", place, database, PASSWORD)
    if kind == "duckdb":
        monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(place))
        return DltDestination(kind, "dlt:duckdb", place)
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", str(place))
    options = f"?table_format={kind}" if kind in ("delta", "iceberg") else ""
    return DltDestination(kind, f"dlt:filesystem{options}", place)

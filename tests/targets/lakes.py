"""A DuckLake as another program reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from pipelines.sql import literal
from tests.harness.postgres_server import PASSWORD
from tests.targets.databases import Database
from tests.targets.s3 import S3

_PACKAGES = ("postgres_scanner", "ducklake", "httpfs")


@contextmanager
def opened_lake(
    database: Database, schema: str = "rivo", s3: S3 | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Attach a lake read-only as `lake`."""
    with duckdb.connect() as connection:
        load_extensions(connection)
        if s3:
            connection.execute(s3.duckdb_secret)
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            f"create secret pg (type postgres, host '127.0.0.1', port {database.server.port}, user 'dagster', "
            f"password '{PASSWORD}', database '{database.name}')"
        )
        connection.execute(
            f"create secret ours (type ducklake, metadata_path '', metadata_schema '{schema}', "
            "metadata_parameters map {'TYPE': 'postgres', 'SECRET': 'pg'})"
        )
        connection.execute("attach 'ducklake:ours' as lake (read_only)")
        yield connection


def in_lake(
    database: Database, sql: str, schema: str = "rivo", s3: S3 | None = None
) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a lake."""
    with opened_lake(database, schema, s3) as connection:
        connection.execute("use lake")
        return connection.execute(sql).fetchall()


def load_extensions(connection: duckdb.DuckDBPyConnection) -> None:
    """Load the extensions that a reader of a lake needs, from their packages."""
    for name in _PACKAGES:
        connection.execute(f"load {literal(str(_extension(name)))}")


def _extension(name: str) -> Path:
    package = __import__(f"duckdb_extension_{name}")
    return (
        Path(str(package.__file__)).parent
        / "extensions"
        / f"v{duckdb.__version__}"
        / f"{name}.duckdb_extension"
    )


def parquet_files(folder: Path) -> list[Path]:
    """Return the data files of a lake in a folder."""
    return sorted(folder.rglob("*.parquet"))

"""A database of a test in the PostgreSQL server."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from pydantic import SecretStr

from pipelines.target_settings import TargetSetting
from tests.harness.postgres_server import PASSWORD, Postgres, programs

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Database:
    """A database, and the target that is in it."""

    server: Postgres
    name: str

    @property
    def url(self) -> str:
        return f"postgresql://dagster@127.0.0.1:{self.server.port}/{self.name}"

    def target(self, url: str = "", password: str = PASSWORD) -> TargetSetting:
        """Return the target of this database; `url` is that of a lake with its catalogue in it."""
        kind = "ducklake" if url.startswith("ducklake:") else "postgres"
        return TargetSetting("pg", kind, url or self.url, SecretStr(password))

    def lake(self, data: str) -> TargetSetting:
        return self.target(f"ducklake:{self.url}?data={data}")

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, password=PASSWORD)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def do(self, sql: str) -> None:
        with self.connect() as connection:
            connection.execute(sql)

    def dump(self) -> str:
        """Return everything that `pg_dump` writes."""
        done = subprocess.run(
            [shutil.which("pg_dump") or programs() / "pg_dump", "-d", self.url],
            env={"PATH": os.environ["PATH"], "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=True,
        )
        # Since 15.14 a random word protects the dump.
        return "\n".join(line for line in done.stdout.splitlines() if "restrict " not in line)

    @classmethod
    @contextmanager
    def created(cls, server: Postgres) -> Iterator[Database]:
        """Create a database, and drop it when the block ends."""
        name = f"test_{next(_NUMBERS)}"
        with psycopg.connect(cls(server, "postgres").url, password=PASSWORD, autocommit=True) as connection:
            connection.execute(f"create database {name}")
            try:
                yield cls(server, name)
            finally:
                connection.execute(f"drop database {name} with (force)")

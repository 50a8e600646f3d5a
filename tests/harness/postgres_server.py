"""A PostgreSQL server for tests, run with the system's programs and deleted at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

PASSWORD = "a-long-and-secret-password"
START_SECONDS = 60


@dataclass(frozen=True)
class Postgres:
    """A running Postgres server."""

    port: int
    folder: Path
    """Where it keeps its data."""

    @property
    def url(self) -> str:
        return f"postgresql://dagster:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    @contextmanager
    def connection(self) -> Iterator[sa.Connection]:
        """Open a transaction."""
        engine = sa.create_engine(self.url.replace("postgresql", "postgresql+psycopg2"))
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def data_files(self) -> list[Path]:
        """Return the files of the server."""
        return [file for file in self.folder.rglob("*") if file.is_file()]

    def sessions(self) -> int:
        """Return the number of connections made so far."""
        with self.connection() as connection:
            asked = connection.execute(sa.text("select sum(sessions) from pg_stat_database"))
            return int(asked.scalar_one())

    def dump(self) -> str:
        """Return every row of every table as text."""
        with self.connection() as connection:
            # Not the rows' own text: SQLAlchemy shortens it.
            return "\n".join(
                str(value)
                for table in sa.inspect(connection).get_table_names()
                for row in connection.execute(sa.text(f'select * from "{table}"'))
                for value in row
            )


@contextmanager
def serve_postgres() -> Iterator[Postgres]:
    """Run a server on loopback until the block ends."""
    folder_of_programs = programs()
    # Postgres refuses to run as root, and its user must reach the folder.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres") as folder:
        if user:
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        secret = Path(folder) / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data, port = f"{folder}/data", _free_port()

        def do(program: str, *arguments: str) -> None:
            command = [str(folder_of_programs / program), "-D", data, *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, user=user)

        do("initdb", "-U", "dagster", "-A", "scram-sha-256", "--pwfile", str(secret))
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
        do("pg_ctl", "-w", "-t", str(START_SECONDS), "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield Postgres(port, Path(data))
        finally:
            do("pg_ctl", "-m", "immediate", "stop")


def programs() -> Path:
    """Return the folder of initdb: Debian keeps it off the PATH."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert places, (
        "These tests need the server programs of Postgres (Debian, Ubuntu: apt-get install postgresql)."
    )
    return places[-1]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port

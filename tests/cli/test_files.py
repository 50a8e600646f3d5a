"""Error messages of the commands for damaged warehouses, foreign files and full disks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import duckdb
import pytest

from sandbox import Server
from tests.cli.conftest import RIVO, Rivo, environment
from tests.harness.command import start_command
from tests.torture.disk import from_newer_duckdb, turn_bit_of_block


def damage(path: Path, table: str) -> None:
    """Flip one bit in the block that holds a table's rows; the file can still be opened."""
    rows = f"from pragma_storage_info('{table}') where block_id >= 0 order by block_id, block_offset limit 1"
    with duckdb.connect(str(path), read_only=True) as connection:
        [[offset]] = connection.execute(f"select block_offset {rows}").fetchall()
    turn_bit_of_block(path, f"select block_id {rows}", offset + 100)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "command",
    [
        ("sync",),
        ("status",),
        ("query", "from rivo_raw.sync_log"),
        ("backup", "copy"),
        ("models", "build"),
    ],
)
def test_every_command_reports_a_damaged_block(rivo: Rivo, warehouse: Path, command: tuple[str]) -> None:
    damage(warehouse, "rivo_raw.sync_log")
    before = warehouse.read_bytes()

    done = rivo(*command)

    printed = done.stdout + done.stderr
    assert done.returncode == 1, printed
    assert f"{warehouse} is damaged: DuckDB " in printed
    assert "rivo restore --replace" in printed
    assert "Traceback" not in printed
    assert warehouse.read_bytes() == before
    assert not any(path.name.startswith((".copy", "copy")) for path in warehouse.parent.parent.iterdir())


@pytest.mark.usefixtures("home")
def test_a_file_of_a_newer_duckdb_is_reported(rivo: Rivo, warehouse: Path) -> None:
    warehouse.write_bytes(from_newer_duckdb(warehouse.read_bytes()))

    for command in ("sync", "status"):
        done = rivo(command)

        assert done.returncode == 1
        assert "was written by a newer DuckDB" in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr


def test_a_database_of_another_program_is_reported_and_left_unchanged(rivo: Rivo, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("create table theirs as select 1 as x")
    before = other.read_bytes()

    for command in (("status",), ("backup", "copy")):
        done = rivo(*command, RIVO_WAREHOUSE=str(other))

        assert done.returncode == 3, done.stderr
        assert done.stderr.startswith("Error: Nothing ")
        assert f"synced into {other}" in done.stderr
        assert done.stderr.count("\n") == 1
    assert other.read_bytes() == before


def test_a_full_disk_is_reported_and_the_next_sync_succeeds(
    tmp_path: Path, server: Server, warehouse: Path
) -> None:
    settings = environment(tmp_path, RIVO_API_URL=server.url, RIVO_WAREHOUSE=str(warehouse))
    before = warehouse.read_bytes()

    def sync(limit: int | None = None) -> subprocess.CompletedProcess[str]:
        command = [RIVO, "sync", "--only", "rewards"]
        return start_command(command, settings, tmp_path, file_limit=limit, selection="+dim_member").wait()

    # First Dagster's files exceed the limit, then the warehouse does.
    for limit, sentence in (
        (
            128_000,
            f"Dagster's storage cannot be used (disk I/O error). Check who may write to DAGSTER_HOME, {tmp_path}",
        ),
        (len(before) * 5 // 6, f"The warehouse {warehouse} cannot be written (File too large)."),
    ):
        full = sync(limit)
        printed = full.stdout + full.stderr
        assert full.returncode == 1
        assert sentence in printed
        assert "Traceback" not in printed
        assert warehouse.read_bytes() == before
        assert {path.name for path in warehouse.parent.iterdir()} <= {"rivo.duckdb", "rivo.lock"}

    assert sync().returncode == 0

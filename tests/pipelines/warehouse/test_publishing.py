"""Publishing: write-ahead logs left beside the file, symbolic links, and permissions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb

from pipelines.warehouse import Warehouse


def publish(path: Path, value: int) -> None:
    with Warehouse(path).build() as build:
        build.connection.execute("create or replace table t as select ? as x", [value])
        build.publish()


def rows(path: Path) -> list[tuple[int]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        found: list[tuple[int]] = connection.execute("select x from t order by x").fetchall()
    return found


def test_publish_discards_the_write_ahead_log_of_a_crashed_program(tmp_path: Path) -> None:
    path = tmp_path / "rivo.duckdb"
    publish(path, 1)
    aside = tmp_path / "aside.duckdb"
    shutil.copyfile(path, aside)
    script = (
        "import duckdb, os, sys\n"
        "c = duckdb.connect(sys.argv[1])\n"
        "c.execute('insert into t values (99)')\n"
        "os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(aside)], check=False)
    wal = Path(f"{aside}.wal")
    assert wal.exists()
    with Warehouse(path).build() as build:
        build.connection.execute("create or replace table t as select 2 as x")
        shutil.copyfile(wal, Path(f"{path}.wal"))
        build.publish()

    assert rows(path) == [(2,)]


def test_publish_through_a_symbolic_link_replaces_its_target(tmp_path: Path) -> None:
    real, link = tmp_path / "elsewhere" / "real.duckdb", tmp_path / "rivo.duckdb"
    publish(real, 1)
    link.symlink_to(real)

    publish(Warehouse.of_setting(str(link)).path, 2)

    assert link.is_symlink()
    assert rows(real) == [(2,)]


def test_publish_keeps_the_permissions_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rivo.duckdb"
    publish(path, 1)
    path.chmod(0o640)

    publish(path, 2)

    assert path.stat().st_mode & 0o777 == 0o640


def test_file_keeps_its_format_and_blocks_when_it_is_written_again(tmp_path: Path) -> None:
    new, old = tmp_path / "new.duckdb", tmp_path / "old.duckdb"
    publish(new, 1)
    with duckdb.connect(str(old)) as connection:
        connection.execute("create table t as select 1 as x")

    def form(path: Path) -> tuple[str, int]:
        with duckdb.connect(str(path), read_only=True) as connection:
            [[version]] = connection.execute(
                "select tags['storage_version'] from duckdb_databases() where not internal"
            ).fetchall()
            [[block]] = connection.execute(
                "select block_size from pragma_database_size() where database_name = current_database()"
            ).fetchall()
        return version, block

    before = [form(path) for path in (new, old)]
    assert before == [("v1.2.0+", 65_536), ("v1.0.0+", 262_144)]
    for path in (new, old):
        with Warehouse(path).build() as build:
            build.is_rewritten = True
            build.publish()
        publish(path, 2)
    assert [form(path) for path in (new, old)] == before

"""The warehouse: published as a whole, built by one process at a time, read without writing; its error messages."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from pipelines.errors import SettingsError, WarehouseError
from pipelines.load.merge import _plain_cause
from pipelines.settings import PROJECT
from pipelines.warehouse import Warehouse
from tests.torture.disk import with_turned_bit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "rivo.duckdb"


def publish(path: Path, value: int) -> None:
    with Warehouse(path).build() as work:
        work.connection.execute(f"create or replace table t as select {value} as x")
        work.publish()


def value_in(path: Path) -> int:
    connection = Warehouse(path).read()
    try:
        row = connection.execute("select x from t").fetchone()
        assert row
        return int(row[0])
    finally:
        connection.close()


def files(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()} - {"rivo.lock"}


# -- publishing ------------------------------------------------------------------------------------


def test_publish_leaves_open_readers_their_file_and_shows_new_readers_the_new_one(path: Path) -> None:
    publish(path, 1)
    reader = Warehouse(path).read()
    for value in (2, 3):
        publish(path, value)
        assert reader.execute("select x from t").fetchone() == (1,)
    reader.close()
    assert value_in(path) == 3
    assert files(path) == {"rivo.duckdb"}


def test_publish_succeeds_while_another_process_reads(path: Path) -> None:
    publish(path, 1)
    code = f"""
import duckdb
connection = duckdb.connect({str(path)!r}, read_only=True)
print("open", flush=True)
input()
print(connection.execute("select x from t").fetchone()[0], flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin
        assert reader.stdout
        assert reader.stdout.readline() == "open\n"
        publish(path, 2)
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == "1\n"
    assert value_in(path) == 2


def test_build_that_fails_leaves_no_file(path: Path) -> None:
    publish(path, 1)
    build = Warehouse(path).build()
    work = build.__enter__()
    work.connection.execute("create or replace table t as select 2 as x")
    error = ZeroDivisionError()
    assert not build.__exit__(type(error), error, None)
    assert value_in(path) == 1
    assert files(path) == {"rivo.duckdb"}
    with Warehouse(path).build():
        pass
    assert value_in(path) == 1
    assert files(path) == {"rivo.duckdb"}


def test_build_discards_the_files_of_a_killed_build(path: Path) -> None:
    publish(path, 1)
    path.with_name("rivo.build.duckdb").write_bytes(b"half a file")
    path.with_name("rivo.build.duckdb.wal").write_bytes(b"half a log")
    scratch = path.with_name("rivo.scratch")
    (scratch / "dlt").mkdir(parents=True)
    (scratch / "dlt" / "package").write_text("x")
    with Warehouse(path).build() as work:
        assert work.connection.execute("select x from t").fetchone() == (1,)
        assert list(work.scratch.iterdir()) == []
        work.publish()
    assert files(path) == {"rivo.duckdb"}


def test_keep_is_the_base_of_the_next_build_and_hidden_from_readers(path: Path) -> None:
    publish(path, 1)
    with Warehouse(path).build() as work:
        work.connection.execute("update t set x = 2")
        work.keep()
    assert value_in(path) == 1
    assert files(path) == {"rivo.duckdb", "rivo.pending.duckdb"}
    with Warehouse(path).build() as work:
        assert work.connection.execute("select x from t").fetchone() == (2,)
        work.connection.execute("update t set x = x + 1")
        work.publish()
    assert value_in(path) == 3
    assert files(path) == {"rivo.duckdb"}


def test_publish_with_an_open_cursor_loses_nothing(path: Path) -> None:
    with Warehouse(path).build() as work:
        work.connection.execute("create table t as select 5 as x")
        cursor = work.connection.cursor()
        cursor.execute("select x from t")
        work.publish()
    assert value_in(path) == 5
    del cursor


def test_build_and_read_are_in_utc(path: Path) -> None:
    with Warehouse(path).build() as work:
        for connection in (work.connection, work.connection.cursor()):
            assert connection.execute("select current_setting('TimeZone')").fetchone() == ("UTC",)
        work.publish()
    reader = Warehouse(path).read()
    for connection in (reader, reader.cursor()):
        assert connection.execute("select current_setting('TimeZone')").fetchone() == ("UTC",)
    reader.close()


# -- one at a time ---------------------------------------------------------------------------------


def test_build_refuses_to_start_while_another_runs(path: Path) -> None:
    with Warehouse(path).build() as work:
        with pytest.raises(
            WarehouseError, match=r"^Another command is writing to .* right now: .* Wait until it ends"
        ):
            Warehouse(path).build().__enter__()
        assert work.connection.execute("select 1").fetchone() == (1,), "the running build is unaffected"
        assert work.scratch.exists()
    publish(path, 1)


# -- errors ----------------------------------------------------------------------------------------


def one_sentence(error: Exception) -> str:
    text = str(error)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def write_text(path: Path) -> None:
    path.write_bytes(b"These are not the bytes of a database. " * 500)


def write_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table t (x)")


@pytest.mark.parametrize("which", ["rivo.duckdb", "rivo.pending.duckdb"])
@pytest.mark.parametrize("write", [write_text, write_sqlite, Path.touch])
def test_build_refuses_and_keeps_a_file_that_is_not_a_database(
    path: Path, which: str, write: Callable[[Path], None]
) -> None:
    path.parent.mkdir()
    broken = path.with_name(which)
    write(broken)
    with pytest.raises(WarehouseError) as caught:
        Warehouse(path).build().__enter__()
    assert f"{broken} is not a DuckDB database" in one_sentence(caught.value)
    assert files(path) == {which}
    if which == path.name:
        with pytest.raises(WarehouseError, match="is not a DuckDB database"):
            Warehouse(path).read()


def test_build_and_read_refuse_a_folder_in_place_of_the_file(path: Path) -> None:
    path.mkdir(parents=True)
    for use in (lambda: Warehouse(path).build().__enter__(), lambda: Warehouse(path).read()):
        with pytest.raises(WarehouseError) as caught:
            use()
        assert f"{path} cannot be read (Is a directory)" in one_sentence(caught.value)


def test_build_reports_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WarehouseError) as caught:
        Warehouse(tmp_path / "file" / "data" / "rivo.duckdb").build().__enter__()
    text = one_sentence(caught.value)
    assert "cannot be written" in text
    assert "RIVO_WAREHOUSE" in text


def test_build_reports_only_errors_about_files_as_such(path: Path) -> None:
    with pytest.raises(ConnectionRefusedError), Warehouse(path).build():
        raise ConnectionRefusedError(111, "Connection refused")
    with pytest.raises(TimeoutError), Warehouse(path).build():
        raise TimeoutError("timed out")
    with pytest.raises(WarehouseError, match=r"No space left on device"), Warehouse(path).build():
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("limit", [8_000, 300_000])
def test_publish_on_a_full_disk_keeps_the_published_file(path: Path, limit: int) -> None:
    publish(path, 1)
    before = path.read_bytes()
    code = f"""
import resource
from pathlib import Path
from pipelines.errors import WarehouseError
from pipelines.warehouse import Warehouse

resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    with Warehouse(Path({str(path)!r})).build() as work:
        for n in range(40):
            work.connection.execute("create table t%d as select md5(i::varchar) as x from range(1000) r(i)" % n)
        work.publish()
except WarehouseError as error:
    print(error)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert said.stdout.startswith(f"The warehouse {path} cannot be written ("), said
    assert said.stdout.count("\n") == 1
    assert path.read_bytes() == before
    assert files(path) == {"rivo.duckdb"}


def test_plain_cause_finds_a_full_disk_behind_later_errors() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory") from None
    except FileNotFoundError as error:
        wrapped = RuntimeError("dlt gave up")
        wrapped.__cause__ = error
    assert "No space" in str(_plain_cause(wrapped))
    assert str(_plain_cause(RuntimeError("else"))) == "else"


@pytest.mark.parametrize(
    ("which", "advice"),
    [
        ("rivo.duckdb", "rivo restore --replace"),
        ("rivo.pending.duckdb", "the next sync starts from the published file"),
        ("rivo.news.duckdb", "Delete it"),
    ],
)
def test_build_on_a_damaged_file_explains_how_to_recover(path: Path, which: str, advice: str) -> None:
    publish(path, 1)
    broken = path.with_name(which)
    broken.write_bytes(with_turned_bit(path.read_bytes(), 4096 + 8))
    with pytest.raises(WarehouseError) as caught:
        Warehouse(broken if "news" in which else path).build().__enter__()
    text = one_sentence(caught.value)
    assert f"{broken} is damaged: " in text
    assert advice in text


def test_is_being_built_needs_no_write_permission(path: Path) -> None:
    with Warehouse(path).build():
        path.with_name("rivo.lock").chmod(0o444)
        assert Warehouse(path).is_being_built
    assert not Warehouse(path).is_being_built


def test_read_refuses_a_file_opened_for_writing_but_publish_replaces_it(path: Path) -> None:
    publish(path, 1)
    code = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        writer.stdout.readline()
        with pytest.raises(WarehouseError, match="is opened for writing by another program"):
            Warehouse(path).read()
        publish(path, 2)
        writer.communicate("\n")


def test_read_without_a_warehouse_says_how_to_make_one(path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"There is no warehouse at .* yet\. Run `make sync` first"):
        Warehouse(path).read()


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("data/rivo.duckdb", PROJECT / "data/rivo.duckdb"),
        ("/srv/rivo.duckdb", Path("/srv/rivo.duckdb")),
        ("~/rivo.duckdb", Path.home() / "rivo.duckdb"),
        ("duckdb:///srv/rivo.duckdb", Path("/srv/rivo.duckdb")),
        ("duckdb:///srv/my%20shop.duckdb", Path("/srv/my shop.duckdb")),
    ],
)
def test_of_setting_accepts_paths_and_duckdb_urls(given: str, path: Path) -> None:
    assert Warehouse.of_setting(given) == Warehouse(path)


@pytest.mark.parametrize(
    "given",
    [
        "postgres://user:s3cret@host/db",
        "s3://bucket/rivo.duckdb",
        "duckdb://host/rivo.duckdb",
        "duckdb:///",
        "md:rivo",
        "ducklake:postgres:dbname=x",
        ":memory:",
        "/",
        "~nobody-of-that-name/rivo.duckdb",
        "x" * 300,
    ],
)
def test_of_setting_refuses_other_kinds_of_warehouse(given: str) -> None:
    with pytest.raises(SettingsError, match=r"^RIVO_WAREHOUSE: ") as caught:
        Warehouse.of_setting(given)
    assert "s3cret" not in one_sentence(caught.value)


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "create table u (x int)",
        "insert into t values (9)",
        "drop table t",
        "from read_csv('{folder}/other.csv')",
        "from read_text('{folder}/other.csv')",
        "from '{folder}/other.csv'",
        "from glob('{folder}/*')",
        "copy t to '{folder}/out.csv'",
        "export database '{folder}/out'",
        "attach '{folder}/other.duckdb'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set TimeZone = 'Asia/Tokyo'",
    ],
)
def test_read_allows_neither_writing_nor_access_to_other_files(path: Path, sql: str) -> None:
    publish(path, 1)
    (path.parent / "other.csv").write_text("a\n1\n")
    before = files(path)
    connection = Warehouse(path).read()
    try:
        with pytest.raises(duckdb.Error):
            connection.execute(sql.format(folder=path.parent)).fetchall()
    finally:
        connection.close()
    assert files(path) == before
    assert value_in(path) == 1

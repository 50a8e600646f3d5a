"""`rivo query --all-shops` and `rivo models all-shops`: several shops in one query, and in one file."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from cli.terminal import query_formats
from cli.terminal.completion import SqlCompleter
from cli.terminal.query_errors import sentence
from cli.terminal.query_session import QuerySession
from pipelines.errors import RivoError
from pipelines.warehouse import AllShops, Warehouse
from tests.harness.settings import RIVO, environment

Run = Callable[..., subprocess.CompletedProcess[bytes]]
COUNTED = "select shop, count(*) as members from marts.dim_member group by shop order by shop"


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    """The folder of RIVO_WAREHOUSE, in which the shops de and fr have been published."""
    shops = tmp_path / "data" / "shops"
    shops.mkdir(parents=True)
    for shop in ("de", "fr"):
        shutil.copyfile(filled, shops / f"{shop}.duckdb")
    return shops.parent


@pytest.fixture
def members(filled: Path) -> int:
    with duckdb.connect(str(filled), read_only=True) as connection:
        [[count]] = connection.execute("select count(*) from marts.dim_member").fetchall()
    return int(count)


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    """Run `rivo ARGUMENTS` with the shops de, fr and it, or others."""

    def run(*arguments: str, shops: str = "de,fr,it") -> subprocess.CompletedProcess[bytes]:
        variables = {"RIVO_WAREHOUSE": str(folder / "rivo.duckdb"), "RIVO_SHOPS": shops}
        return subprocess.run([RIVO, *arguments], env=environment(tmp_path, **variables), capture_output=True)

    return run


@pytest.fixture
def session(folder: Path, tmp_path: Path) -> Iterator[QuerySession]:
    """What `rivo query --all-shops` opens."""
    union = AllShops({name: Warehouse(folder / f"shops/{name}.duckdb") for name in ("de", "fr", "it")})
    session = QuerySession(union, str(tmp_path / "spill"))
    yield session
    session.close()


# -- rivo query --all-shops ------------------------------------------------------------------------


def test_query_of_all_shops_returns_the_rows_of_each_and_names_those_left_out(run: Run, members: int) -> None:
    done = run("query", "--all-shops", "--format", "csv", COUNTED)
    assert done.returncode == 0
    assert list(csv.reader(io.StringIO(done.stdout.decode()))) == [
        ["shop", "members"],
        ["de", str(members)],
        ["fr", str(members)],
    ]
    assert done.stderr.decode() == "Left out, because there is no warehouse yet: it.\n"


def test_query_of_all_shops_writes_every_format(run: Run, members: int, tmp_path: Path) -> None:
    expected = [{"shop": "de", "members": members}, {"shop": "fr", "members": members}]
    assert (
        json.loads(run("query", "--all-shops", "--format", "json", COUNTED, shops="de,fr").stdout) == expected
    )
    file = tmp_path / "out.parquet"
    run("query", "--all-shops", "--format", "parquet", "--output", str(file), COUNTED)
    assert pq.read_table(file).to_pylist() == expected


@pytest.mark.parametrize(
    ("arguments", "shops", "code", "message"),
    [
        (["--all-shops"], "", 1, "Error: RIVO_SHOPS is not set: there is only one shop. "),
        (["--all-shops"], "es,it", 3, "Error: No shop of es, it has a warehouse yet. "),
        ([], "de,fr", 2, "There are several shops: de, fr. Choose with --shop NAME or --all-shops."),
        (["--shop", "de", "--all-shops"], "de,fr", 2, "--shop and --all-shops exclude each other."),
    ],
)
def test_query_says_how_to_choose_shops(
    run: Run, arguments: list[str], shops: str, code: int, message: str
) -> None:
    done = run("query", *arguments, "select 1", shops=shops)
    assert (done.returncode, done.stdout) == (code, b"")
    assert message in done.stderr.decode()


def test_query_of_one_shop_is_of_its_own_file(run: Run, members: int) -> None:
    done = run("query", "--shop", "fr", "--format", "csv", "select count(*) as n from rivo_raw.customers")
    assert done.stdout.decode() == f"n\n{members}\n"


def test_list_of_tables_has_each_table_of_all_shops_once(session: QuerySession) -> None:
    listed = query_formats.select(session.connection, "show tables").fetchall()
    assert {schema for schema, *_ in listed} == {"marts", "reports"}
    names = [name for _, name, *_ in listed]
    assert len(names) == len(set(names))
    [[*_, description]] = [row for row in listed if row[1] == "dim_member"]
    assert description
    with pytest.raises(
        RivoError, match=r"no schema staging in the warehouse. Its schemas: reports, marts\.$"
    ):
        query_formats.select(session.connection, "show tables from staging")


def test_tables_of_all_shops_need_no_schema(session: QuerySession) -> None:
    found = query_formats.select(
        session.connection, "select distinct shop from dim_member order by 1"
    ).fetchall()
    assert found == [("de",), ("fr",)]


def test_error_in_a_query_of_all_shops_names_the_nearest_table_once(session: QuerySession) -> None:
    with pytest.raises(duckdb.Error) as error:
        query_formats.select(session.connection, "from dim_membr")
    text = str(sentence(session.connection, error.value))
    assert "There is no table dim_membr in the warehouse. Nearest: marts.dim_member, " in text
    assert text.count("dim_member") == 1


def test_completion_offers_each_table_and_the_column_shop_once(session: QuerySession) -> None:
    completer = SqlCompleter(session.connection)

    def offered(text: str) -> list[str]:
        return [each.text for each in completer.get_completions(Document(text), CompleteEvent())]

    assert offered("from marts.dim_mem") == ["dim_member"]
    assert "shop" in offered("from dim_member as m where m.sh")


def test_session_of_all_shops_follows_the_sync_of_any_shop(
    session: QuerySession, filled: Path, folder: Path
) -> None:
    first = session.observed_at
    assert first
    assert not session.follow()
    with Warehouse(folder / "shops" / "fr.duckdb").build() as work:
        work.connection.execute("update rivo_raw.sync_log set observed_at = observed_at - interval 1 day")
        work.publish()
    assert session.follow()
    assert session.observed_at
    assert (first - session.observed_at).days == 1
    shutil.copyfile(filled, folder / "shops" / "it.duckdb")
    assert session.follow()
    assert session.connection.execute("select count(distinct shop) from dim_member").fetchall() == [(3,)]


# -- rivo models all-shops -------------------------------------------------------------------------


def test_models_all_shops_writes_a_file_that_equals_the_union(
    run: Run, session: QuerySession, folder: Path
) -> None:
    done = run("models", "all-shops")
    assert done.returncode == 0, done.stderr
    de, fr, wrote = done.stdout.decode().splitlines()
    assert (de.split()[0], fr.split()[0]) == ("de", "fr")
    assert wrote.startswith(f"Wrote {folder / 'all_shops.duckdb'}, ")
    assert done.stderr.decode() == "Left out, because there is no warehouse yet: it.\n"

    union = session.connection
    with duckdb.connect(str(folder / "all_shops.duckdb"), read_only=True) as written:
        written.execute("set TimeZone = 'UTC'")
        tables = written.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where schema_name != 'meta'"
        ).fetchall()
        listed = query_formats.select(union, "show tables").fetchall()
        assert {name for [name] in tables} == {f"{schema}.{name}" for schema, name, *_ in listed}
        for [table] in tables:
            assert (
                written.execute(f"describe {table}").fetchall()
                == union.execute(f"describe {table}").fetchall()
            )
            rows = f"from {table} order by all"
            assert str(written.execute(rows).fetchall()) == str(union.execute(rows).fetchall()), table
        undescribed = (
            "select table_name, column_name from duckdb_columns() where comment is null and not internal"
        )
        assert written.execute(undescribed).fetchall() == []


def test_models_all_shops_without_any_warehouse_exits_with_3(run: Run, folder: Path) -> None:
    done = run("models", "all-shops", shops="es,it")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.decode().startswith("Error: No shop of es, it has a warehouse yet. ")
    assert {path.name for path in folder.iterdir()} == {"shops"}


# -- rivo report --all-shops -----------------------------------------------------------------------


def test_report_of_all_shops_writes_their_pages_and_one_that_compares_them(run: Run, folder: Path) -> None:
    done = run("report", "--all-shops")
    assert done.returncode == 3, done.stderr
    assert done.stderr.decode().startswith("Error: it: There is no warehouse")
    assert done.stderr.decode().endswith("\nWithout figures: it.\n")
    assert "all_shops.report.html" in done.stdout.decode().splitlines()[-1]
    compared = (folder / "all_shops.report.html").read_text()
    assert 'href="shops/de.report.html"' in compared
    assert "There is no warehouse yet." in compared
    assert (folder / "shops" / "fr.report.html").exists()


def test_report_of_all_shops_goes_to_no_single_file(run: Run) -> None:
    done = run("report", "--all-shops", "--output", "page.html")
    assert done.returncode == 2
    assert "--output is for one shop at a time: add --shop NAME." in done.stderr.decode()

"""`rivo query`: output formats, the ban on writing and on other files, error messages, pipes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from cli.commands.query import FORMATS
from cli.terminal import query_formats as query
from cli.terminal.query_errors import sentence
from cli.terminal.query_session import QuerySession
from cli.terminal.table_list import SCHEMAS
from cli.terminal.tables import print_result, shortened
from pipelines.errors import RivoError
from pipelines.warehouse import Warehouse
from tests.cli.conftest import RIVO, Rivo, environment

ODD = """
select 1 as a, 2 as a, 'x,"y' as "q""z", null as nothing, '' as empty, 1.50::decimal(9, 2) as money,
    'nan'::double as nan, timestamptz '2026-01-02 03:04:05+00' as at, [1, 2] as list, {'k': 'x|y'} as struct,
    interval 3 day as days, e'a\\nb' as lines, uuid '00000000-0000-0000-0000-000000000001' as id, 'ä→' as text
"""


@pytest.fixture
def reader(warehouse: Path, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, opened as `rivo query` opens it."""
    session = QuerySession(Warehouse(warehouse), str(tmp_path / "spill"))
    yield session.connection
    session.close()


def written(connection: duckdb.DuckDBPyConnection, sql: str, form: str) -> bytes:
    sink = io.BytesIO()
    query.write(query.select(connection, sql), form, sink)
    return sink.getvalue()


def test_every_format_writes_all_rows_and_special_values(reader: duckdb.DuckDBPyConnection) -> None:
    many = "select i, 'n' || i as name from range(50000) as r(i)"
    assert list(csv.reader(io.StringIO(written(reader, many, "csv").decode())))[-1] == ["49999", "n49999"]
    assert json.loads(written(reader, many, "json"))[49_999] == {"i": 49_999, "name": "n49999"}
    assert pq.read_table(io.BytesIO(written(reader, many, "parquet"))).num_rows == 50_000
    assert len(written(reader, many, "markdown").splitlines()) == 50_002

    [header, values] = csv.reader(io.StringIO(written(reader, ODD, "csv").decode(), newline=""))
    row = dict(zip(header, values, strict=True))
    assert (row["a"], row["a_1"], row['q"z'], row["nothing"], row["money"]) == ("1", "2", 'x,"y', "", "1.50")
    assert (row["lines"], row["text"], row["days"]) == ("a\nb", "ä→", "3 days")
    [row] = json.loads(written(reader, ODD, "json"))
    assert (row["a_1"], row["nothing"], row["nan"], row["list"], row["money"]) == (2, None, None, [1, 2], 1.5)
    [row] = pq.read_table(io.BytesIO(written(reader, ODD, "parquet"))).to_pylist()
    assert (row["a_1"], row["list"], row["days"], row["text"]) == (2, [1, 2], "3 days", "ä→")
    head, rule, line = written(reader, ODD, "markdown").decode().splitlines()
    assert head.count(" | ") == rule.count(" | ") == line.count(" | ")
    assert "x\\|y" in line
    assert "a b" in line


def test_every_format_writes_an_empty_result(reader: duckdb.DuckDBPyConnection) -> None:
    none = "select 1 as one where false"
    assert written(reader, none, "csv") == b"one\n"
    assert json.loads(written(reader, none, "json")) == []
    assert pq.read_table(io.BytesIO(written(reader, none, "parquet"))).column_names == ["one"]
    assert len(written(reader, none, "markdown").splitlines()) == 2


def test_every_format_of_the_option_has_a_writer() -> None:
    assert set(FORMATS) == {"table", *query._WRITERS}


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to '{file}' (format csv, use_tmp_file false)",
        "copy (select 1) to '{file}.wal' (format csv)",
        "copy (select 1) to '{spill}/x.csv'",
        "copy (select 1) to '/dev/stdout'",
        "explain analyze copy (select 1) to '{file}' (format csv, use_tmp_file false)",
        "explain /* ( */ analyze copy (select 1) to '{file}' (format csv, use_tmp_file false)",
        "explain (analyze) copy (select 1) to '{file}' (format csv, use_tmp_file false)",
        "prepare p as copy (select 1) to '{file}' (use_tmp_file false)",
        "select 1; copy (select 1) to '{file}' (format csv, use_tmp_file false)",
        "from query('copy (select 1) to ''{file}'' (use_tmp_file false)')",
        "call enable_logging(storage='file', storage_path='{spill}/log')",
        "select * from enable_logging(level='trace', storage='file', storage_path='{spill}/log')",
        "select 'ä', * from main . \"Enable_Logging\" /* x */ (storage='file', storage_path='{spill}/log')",
        "from query('from enable_' || 'logging(storage=''file'', storage_path=''{spill}/log'')')",
        "from json_execute_serialized_sql(json_serialize_sql('from enable_' || 'logging()'))",
        "pragma json_execute_serialized_sql('x')",
        "explain analyze from enable_profiling(format='json', save_location='{spill}/profile.json')",
        "attach '{file}' as again (read_write)",
        "attach '{other}'",
        "attach ':memory:' as m",
        "export database '{folder}'",
        "install httpfs",
        "load '{other}'",
        "set enable_external_access = true",
        "reset lock_configuration",
        "pragma enable_profiling = 'json'",
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from read_text('/proc/self/environ')",
        "select * from glob('/etc/*')",
        "select * from read_parquet('https://example.com/x.parquet')",
        "select * from sniff_csv('/etc/passwd')",
        "select getenv('HOME')",
        "select * from written",
        "create persistent secret s (type s3, key_id 'a', secret 'b')",
        "create table marts.x as select 1",
        "insert into marts.dim_tier select * from marts.dim_tier",
        "drop table marts.dim_member",
        "update marts.dim_member set points_balance = 0",
        "checkpoint",
        "",
    ],
)
def test_select_refuses_sql_that_writes_or_reads_other_files(
    sql: str, reader: duckdb.DuckDBPyConnection, warehouse: Path, tmp_path: Path
) -> None:
    before = warehouse.read_bytes()
    (tmp_path / "spill").mkdir()
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    text = sql.format(
        file=warehouse, spill=tmp_path / "spill", other=tmp_path / "other.duckdb", folder=tmp_path / "out"
    )

    with pytest.raises((RivoError, duckdb.Error)):
        query.select(reader, text).fetchall()

    assert warehouse.read_bytes() == before
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize(
    "sql",
    [
        "from marts.dim_tier",
        "with a as (select 1 as x) select * from a;",
        "-- a comment first\nselect 1",
        "show tables",
        "show all tables",
        "describe dim_member",
        "summarize dim_tier",
        "describe marts.dim_member",
        "summarize marts.dim_tier",
        "pivot marts.dim_member on loyalty_status using count(*)",
        "explain select 1",
        "explain analyze select 1",
        "pragma table_info('marts.dim_member')",
        "values (1)",
        "select 'query(1)' as query, count(*) from (select 1) as query -- enable_logging()",
    ],
)
def test_select_accepts_every_statement_that_reads(sql: str, reader: duckdb.DuckDBPyConnection) -> None:
    assert query.select(reader, sql).fetchall()


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("from reports.dim_member", "Its schema is another one: marts.dim_member."),
        ("from marts.dim_membr", "There is no table dim_membr in the warehouse. Nearest: marts.dim_member"),
        ("select poins_balance from marts.dim_member", "no column poins_balance. Nearest: points_balance"),
        ("selct 1", 'syntax error at or near "selct".\n  selct 1\n  ^'),
        (
            "select * from read_csv('/etc/passwd')",
            "can only read the warehouse. Access to other files and the network is disabled",
        ),
        ("select 'x'::integer", "Could not convert string 'x' to INT32"),
    ],
)
def test_query_errors_name_the_nearest_tables_and_columns(
    sql: str, message: str, reader: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises(duckdb.Error) as raised:
        query.select(reader, sql).fetchall()

    assert message in str(sentence(reader, raised.value))


@pytest.mark.parametrize("sql", ["show tables", " SHOW  Tables ;\n"])
def test_show_tables_lists_all_schemas_beginning_with_the_reports(
    sql: str, reader: duckdb.DuckDBPyConnection
) -> None:
    relation = query.select(reader, sql)
    rows = relation.fetchall()

    assert relation.columns == ["schema", "name", "rows", "description"]
    known = "select table_schema, table_name from information_schema.tables"
    assert {row[:2] for row in rows} == set(reader.execute(known).fetchall())
    schemas = list(dict.fromkeys(schema for schema, *_ in rows))
    assert schemas[:2] == ["reports", "marts"]
    assert set(schemas) == set(SCHEMAS)
    [(count, description)] = [row[2:] for row in rows if row[1] == "dim_member"]
    assert [(count,)] == reader.execute("select count(*) from marts.dim_member").fetchall()
    assert description.startswith("One row per customer")
    assert [text for *_, text in rows if text.startswith("One row per") and not text.endswith(".")] == []


def test_show_tables_from_lists_one_schema(reader: duckdb.DuckDBPyConnection) -> None:
    assert {row[0] for row in query.select(reader, "show tables from marts;").fetchall()} == {"marts"}
    with pytest.raises(RivoError, match=r"no schema nowhere in the warehouse\. Its schemas: reports, marts"):
        query.select(reader, "show tables from nowhere")


def test_table_needs_no_schema(reader: duckdb.DuckDBPyConnection) -> None:
    names = [name for _, name, *_ in query.select(reader, "show tables").fetchall()]

    # Otherwise a name alone could mean two tables.
    assert len(set(names)) == len(names)
    for name in names:
        assert query.select(reader, f"describe {name}").fetchall()


def test_show_tables_needs_one_line_for_each_table_on_a_terminal(reader: duckdb.DuckDBPyConnection) -> None:
    relation = query.select(reader, "show tables")
    rows = relation.fetchall()
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        print_result(console, relation.columns, shortened(rows, relation.columns, 100))

    assert len(captured.get().splitlines()) == len(rows) + 2
    assert "…" in captured.get()


def test_table_output_marks_thousands_but_in_ids_and_years() -> None:
    columns = [
        "points",
        "money",
        "ratio",
        "id",
        "tier_id",
        "count(customer_id)",
        "year",
        "issued_last_year",
        "text",
    ]
    row = (1234567, Decimal("1234.5000"), 12345.678, 7199, 552270, 4321, 2026, 2026000, "1234")
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        print_result(console, columns, [row, *[(None,) * 8 + ("",)]])

    line = captured.get().splitlines()[2]
    expected = [
        "1,234,567",
        "1,234.5000",
        "12,345.68",
        "7199",
        "552270",
        "4,321",
        "2026",
        "2,026,000",
        "1234",
    ]
    assert line.split() == expected
    header = captured.get().splitlines()[0]
    # Numbers end below the end of their heading.
    assert line.index("1,234,567") + 9 == header.index("points") + 6


def test_table_output_fits_the_width_of_the_terminal() -> None:
    columns = [f"column_{n}" for n in range(12)]
    rows = [tuple(f"value {n} of a row" for n in range(12))]
    for width in (40, 80, 400):
        console = Console(width=width, color_system=None)
        with console.capture() as captured:
            print_result(console, columns, rows)
        text = captured.get()
        assert max(map(len, text.splitlines())) <= width
        assert all(f"value {n} of a row" in text for n in range(12))
        assert ("row 1" in text) == (width < 400)


def test_table_output_replaces_control_characters() -> None:
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        print_result(console, ["name"], [("\x1b[2Jgone\r\x07",)])
    assert not set("\x1b\r\x07") & set(captured.get())
    assert "gone" in captured.get()


def test_output_file_is_complete_or_absent(rivo: Rivo, filled: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    good = ("query", "--format", "csv", "--output", str(target))

    done = rivo(*good, "select 1 as a", RIVO_WAREHOUSE=str(filled))
    assert (done.returncode, done.stdout, target.read_text()) == (0, "", "a\n1\n")

    # So few rows that DuckDB reads them in one thread, and has only one error to report.
    failing = "select if(i = 90000, error('half-way'), i) as a from range(100000) as r(i)"
    failed = rivo(*good, failing, RIVO_WAREHOUSE=str(filled))
    assert failed.returncode == 1
    assert "half-way" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert target.read_text() == "a\n1\n"
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.csv"]

    nowhere = rivo(
        "query", "--format", "csv", "-o", str(tmp_path / "no" / "x"), "select 1", RIVO_WAREHOUSE=str(filled)
    )
    assert nowhere.returncode == 1
    assert "cannot be written" in nowhere.stderr


def test_query_exits_silently_with_141_when_the_pipe_is_closed(
    rivo: Rivo, filled: Path, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [RIVO, "query", "--format", "csv", "from range(2000000)"],
        env=environment(tmp_path, RIVO_WAREHOUSE=str(filled)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "range\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 141


def test_query_reads_sql_from_standard_input(filled: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [RIVO, "query", "-"],
        input="select 'ä→' as text,\n  true as yes, 1234567.5::double as number",
        env=environment(tmp_path, RIVO_WAREHOUSE=str(filled), PYTHONIOENCODING="utf-8"),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )

    assert result.returncode == 0, result.stderr
    assert [line.split() for line in result.stdout.splitlines()[::2]] == [
        ["text", "yes", "number"],
        ["ä→", "true", "1,234,567.50"],
    ]
    assert "\x1b" not in result.stdout

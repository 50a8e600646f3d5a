"""Build results stored in the warehouse, tables that are dropped, and the memory limit of a build."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.runner import build, load_project, select
from dbt_like_sql.runner.last_results import read

from .building import ONE_ROW_PER_MEMBER, rows, run, statuses
from .conftest import SHOP, Write

AS_OF = datetime(2026, 10, 5, 6, tzinfo=UTC)


def test_build_stores_its_results(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    project = load_project(write(SHOP | {"models/m.yml": ONE_ROW_PER_MEMBER}))
    list(build(connection, project, as_of=AS_OF))
    stored = "select * exclude (data_as_of, inputs, tested) from meta.build_results where kind = 'model'"
    assert rows(connection, stored) == [
        ("staging", "stg_customers", "model", "success", None, ""),
        ("staging", "stg_events", "model", "success", None, ""),
        ("marts", "dim_member", "model", "success", 3, ""),
        ("marts", "fct_event", "model", "success", 3, ""),
        ("reports", "rpt_total", "model", "success", 1, ""),
    ]
    assert rows(connection, "select distinct data_as_of at time zone 'UTC' from meta.test_results") == [
        (AS_OF.replace(tzinfo=None),)
    ]
    assert rows(
        connection,
        "select test_name, column_name, severity, status, failures, message from meta.test_results "
        "where table_name = 'dim_member' and column_name = 'balance'",
    ) == [("expression_is_true_dim_member_balance_0", "balance", "error", "pass", 0, "Passed.")]
    assert rows(
        connection, "select count(*) from duckdb_columns() where schema_name = 'meta' and comment is null"
    ) == [(0,)]


def test_failure_is_stored_with_the_row_count_of_the_last_good_version(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(SHOP | {"models/m.yml": ONE_ROW_PER_MEMBER})
    run(connection, root)
    connection.execute("insert into rivo_raw.customers values (1, 'again@x.org', 5)")
    run(connection, root)
    found = read(connection)
    assert (found.builds["marts.dim_member"]["status"], found.builds["marts.dim_member"]["row_count"]) == (
        "failed",
        3,
    )
    assert found.builds["reports.rpt_total"]["message"] == "Skipped because marts.dim_member failed."
    assert found.tests["marts.dim_member"]["unique_dim_member_customer_id"]["message"] == (
        "1 failing row, for example: customer_id 1."
    )
    # A test that was not run keeps its last result.
    assert found.tests["reports.rpt_total"]["documented_columns"]["status"] == "pass"


def test_partial_build_keeps_the_results_of_other_models(
    connection: duckdb.DuckDBPyConnection, shop: Path
) -> None:
    project = load_project(shop)
    list(build(connection, project, as_of=AS_OF))
    list(build(connection, project, select(project, "dim_member"), as_of=AS_OF.replace(day=6)))
    days = {name: row["data_as_of"].astimezone(UTC).day for name, row in read(connection).builds.items()}
    assert (days["marts.dim_member"], days["marts.fct_event"]) == (6, 5)


def test_results_are_empty_before_the_first_build(connection: duckdb.DuckDBPyConnection) -> None:
    assert read(connection).builds == read(connection).tests == {}


@pytest.fixture
def renamed(connection: duckdb.DuckDBPyConnection, write: Write) -> Path:
    """Project in which a model and a seed were renamed after a build."""
    root = write(SHOP | {"seeds/rules.csv": "a\n1\n"})
    run(connection, root)
    (root / "models/reports/rpt_total.sql").rename(root / "models/reports/rpt_all.sql")
    (root / "seeds/rules.csv").rename(root / "seeds/new_rules.csv")
    connection.execute(
        "create table marts.my_own as select 1 as a; create table reports.rpt_old as select 1 as a;"
        "create schema mine; create table mine.rpt_total as select 1 as a"
    )
    return root


def names(connection: duckdb.DuckDBPyConnection) -> set[str]:
    return {
        name for [name] in rows(connection, "select schema_name || '.' || table_name from duckdb_tables()")
    }


def test_build_drops_tables_that_no_file_defines_any_more(
    connection: duckdb.DuckDBPyConnection, renamed: Path
) -> None:
    before = names(connection)
    results = run(connection, renamed)
    assert [(r.relation, r.kind, r.message) for r in results.values() if r.status == "dropped"] == [
        ("reports.rpt_total", "model", "Dropped because no file in the project defines it any more."),
        ("seeds.rules", "seed", "Dropped because no file in the project defines it any more."),
    ]
    # Tables that users created are kept in every schema, and so are raw tables.
    assert before - names(connection) == {"reports.rpt_total", "seeds.rules"}
    assert names(connection) >= {"marts.my_own", "reports.rpt_old", "mine.rpt_total", "rivo_raw.customers"}
    assert not {"reports.rpt_total", "seeds.rules"} & read(connection).builds.keys()
    assert "reports.rpt_total" not in read(connection).tests
    assert "dropped" not in statuses(run(connection, renamed)).values()


def test_partial_build_drops_nothing(connection: duckdb.DuckDBPyConnection, renamed: Path) -> None:
    assert list(run(connection, renamed, "rpt_all")) == ["rpt_all"]
    assert {"reports.rpt_total", "seeds.rules"} <= names(connection)


def test_failed_build_drops_nothing(
    connection: duckdb.DuckDBPyConnection, renamed: Path, write: Write
) -> None:
    write({"models/reports/rpt_all.sql": "select error('no') as members, 1 as balance"})
    assert set(statuses(run(connection, renamed)).values()) == {"success", "unchanged", "error"}
    assert {"reports.rpt_total", "seeds.rules"} <= names(connection)


def test_build_larger_than_its_memory_limit_spills_and_finishes(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    connection.execute("set memory_limit = '123MB'; set threads = 2")
    sql = """
        with numbers as (select range as i, hash(range)::varchar as h from range(3000000))

        select i, h, row_number() over (order by h) as place from numbers order by h
        """
    project = load_project(write({"models/marts/fct_large.sql": sql}))
    [result] = list(build(connection, project, memory="150MB"))
    assert (result.status, result.rows) == ("success", 3_000_000), result.message
    # The connection's own limit is restored after the build.
    [[after]] = rows(connection, "select current_setting('memory_limit')")
    assert float(after.split()[0]) == pytest.approx(117.3, abs=0.2)


def test_build_that_cannot_spill_reports_the_memory_limit(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    connection.execute("set max_temp_directory_size = '1KB'; set threads = 2")
    sql = "select range as i, hash(range)::varchar as h from range(3000000) order by h"
    project = load_project(write({"models/marts/fct_large.sql": sql}))
    [result] = list(build(connection, project, memory="100MB"))
    assert result.status == "error"
    assert result.message.startswith("models/marts/fct_large.sql: the build ran out of memory (limit 95.")


def test_build_uses_at_most_half_of_the_machines_memory(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    asked = "select current_setting('memory_limit') as allowed"
    root = write({"models/marts/fct_a.sql": asked})
    connection.execute("reset memory_limit")
    [[before]] = rows(connection, "select current_setting('memory_limit')")
    list(build(connection, load_project(root), memory="900TB"))
    [[allowed]] = rows(connection, "from marts.fct_a")
    assert float(allowed.split()[0]) == pytest.approx(float(before.split()[0]) * 5 / 8, rel=0.02)
    list(build(connection, load_project(root), memory="1GB"))
    assert rows(connection, "from marts.fct_a")[0][0].startswith("953.")


def test_build_of_small_tables_uses_one_thread(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    connection.execute("set threads = 2")
    project = load_project(
        write({"models/marts/fct_a.sql": "select current_setting('threads')::int as threads"})
    )

    list(build(connection, project))
    small = rows(connection, "from marts.fct_a")
    connection.execute("create table many as from range(200_000)")
    list(build(connection, project, rebuild=["fct_a"]))
    large = rows(connection, "from marts.fct_a")

    assert (small, large) == ([(1,)], [(2,)])
    assert rows(connection, "select current_setting('threads')::int") == [(2,)]

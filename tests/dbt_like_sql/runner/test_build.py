from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.runner import ProjectError, build, load_project

from .building import ONE_ROW_PER_MEMBER, contents, rows, run, statuses
from .conftest import SHOP, Write


def test_build_creates_every_table_in_order(connection: duckdb.DuckDBPyConnection, shop: Path) -> None:
    results = run(connection, shop)
    assert list(results) == ["stg_customers", "stg_events", "dim_member", "fct_event", "rpt_total"]
    assert set(statuses(results).values()) == {"success"}
    assert rows(connection, "from marts.dim_member order by 1") == [
        (1, "a@x.org", 10),
        (2, "b@x.org", 20),
        (3, "c@x.org", 0),
    ]
    member = results["dim_member"]
    assert (member.schema, member.kind, member.rows) == ("marts", "model", 3)
    assert member.columns == (("customer_id", "INTEGER"), ("email", "VARCHAR"), ("balance", "HUGEINT"))
    assert all(result.seconds > 0 for result in results.values())
    # The undescribed staging column is no warning: only marts and reports must be documented.
    assert [t.status for r in results.values() for t in r.tests] == ["pass"] * 5


def test_build_yields_each_result_when_its_table_is_finished(
    connection: duckdb.DuckDBPyConnection, shop: Path
) -> None:
    results = build(connection, load_project(shop))
    assert next(results).name == "stg_customers"
    assert ("stg_customers",) in rows(connection, "select view_name from duckdb_views() where not internal")


def test_second_build_changes_nothing(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    root = write(SHOP | {"models/m.yml": ONE_ROW_PER_MEMBER, "seeds/rules.csv": "a,b\n1,x\n"})
    run(connection, root)
    before = contents(connection)
    assert set(statuses(run(connection, root)).values()) == {"unchanged"}
    assert set(statuses(run(connection, root, everything=True)).values()) == {"success"}
    assert contents(connection) == before


def test_file_of_a_second_build_is_hardly_larger(
    connection: duckdb.DuckDBPyConnection, write: Write, tmp_path: Path
) -> None:
    sql = "select range as id, hash(range)::varchar as text from range(200_000)"
    root = write({f"models/marts/fct_{letter}.sql": sql for letter in "abcdefgh"})
    sizes = []
    for _ in range(3):
        run(connection, root, everything=True)
        connection.execute("checkpoint")
        sizes.append((tmp_path / "working.duckdb").stat().st_size)
    assert max(sizes) < 1.3 * sizes[0]


def test_build_stores_descriptions_as_comments(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    run(connection, write(SHOP | {"models/m.yml": ONE_ROW_PER_MEMBER}))
    assert rows(connection, "select comment from duckdb_tables() where table_name = 'dim_member'") == [
        ("It's every member.",)
    ]
    assert rows(
        connection, "select column_name, comment from duckdb_columns() where table_name = 'dim_member'"
    ) == [
        ("customer_id", "The member."),
        ("email", "The address."),
        ("balance", "Points held."),
    ]


def test_failed_blocking_test_keeps_the_last_good_version(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(SHOP | {"models/m.yml": ONE_ROW_PER_MEMBER})
    run(connection, root)
    before = contents(connection)
    connection.execute("insert into rivo_raw.customers values (1, 'again@x.org', 5)")
    connection.execute("insert into rivo_raw.events values (4, 3, -7)")
    results = run(connection, root)
    assert statuses(results) == {
        "stg_customers": "success",
        "stg_events": "success",
        "dim_member": "failed",
        "fct_event": "success",
        "rpt_total": "skipped",
    }
    after = contents(connection)
    assert after["marts.dim_member"] == before["marts.dim_member"]
    assert after["reports.rpt_total"] == before["reports.rpt_total"]
    assert len(after["marts.fct_event"]) == len(before["marts.fct_event"]) + 1
    assert after.keys() == before.keys()
    assert sorted(after["comments"]) == sorted(before["comments"])

    member = results["dim_member"]
    assert member.message == (
        "unique_dim_member_customer_id: 1 failing row, for example: customer_id 1. "
        "expression_is_true_dim_member_balance_0: 1 failing row, for example: customer_id 3. "
        "The last good version is kept."
    )
    skipped = results["rpt_total"]
    assert (skipped.message, skipped.blocked_by) == (
        "Skipped because marts.dim_member failed.",
        ("dim_member",),
    )
    assert skipped.rows is None

    connection.execute("delete from rivo_raw.customers where email = 'again@x.org'")
    connection.execute("delete from rivo_raw.events where id = 4")
    assert set(statuses(run(connection, root)).values()) == {"success"}


def test_model_that_fails_in_its_first_build_leaves_no_table(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    connection.execute("insert into rivo_raw.customers values (null, 'x@x.org', 5)")
    results = run(connection, write(SHOP | {"models/m.yml": ONE_ROW_PER_MEMBER}))
    assert results["dim_member"].message.endswith("There is no earlier version to keep.")
    assert rows(connection, "select table_name from duckdb_tables() where schema_name = 'marts'") == [
        ("fct_event",)
    ]


def test_sql_error_keeps_the_last_good_version(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    root = write(SHOP)
    run(connection, root)
    before = contents(connection)
    write(
        {
            "models/staging/stg_events.sql": "select id as event_id,\n  customer,\n  amount\nfrom rivo_raw.events"
        }
    )
    results = run(connection, root)
    assert statuses(results) == {
        "stg_customers": "unchanged",
        "stg_events": "error",
        "dim_member": "skipped",
        "fct_event": "skipped",
        "rpt_total": "skipped",
    }
    assert results["stg_events"].message.startswith(
        'models/staging/stg_events.sql, line 2: Referenced column "customer" not found in FROM clause! '
        'Candidate bindings: "customer_id"'
    )
    # The root cause is named, not the model skipped in between.
    assert results["rpt_total"].blocked_by == ("stg_events",)
    assert contents(connection) == before


def test_runtime_error_is_one_line_with_file_and_line(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(
        SHOP
        | {"models/marts/dim_member.sql": "select\n  email::int as customer_id\nfrom staging.stg_customers"}
    )
    result = run(connection, root, "+dim_member")["dim_member"]
    assert result.status == "error"
    assert result.message == (
        "models/marts/dim_member.sql, line 2: Could not convert string '…' to INT32 "
        "when casting from source column email"
    )


def test_missing_table_is_named_with_the_next_step(connection: duckdb.DuckDBPyConnection, shop: Path) -> None:
    result = run(connection, shop, "dim_member")["dim_member"]
    assert result.message == (
        "models/marts/dim_member.sql reads staging.stg_customers, which has not been built yet. "
        "Build it too: --select +dim_member"
    )
    connection.execute("drop table rivo_raw.events")
    result = run(connection, shop)["stg_events"]
    assert result.message == (
        "models/staging/stg_events.sql reads rivo_raw.events, which is not in this database. "
        "Run a sync to load it."
    )


@pytest.mark.parametrize(
    "interrupted", ["before the new version", "with the new version", "after renaming back"]
)
def test_build_restores_tables_of_an_interrupted_build(
    connection: duckdb.DuckDBPyConnection, shop: Path, interrupted: str
) -> None:
    run(connection, shop)
    before = contents(connection)
    if interrupted != "after renaming back":
        connection.execute("alter table marts.dim_member rename to dim_member__last_good")
    if interrupted == "with the new version":
        connection.execute("create table marts.dim_member as select 'half' as done")
    # Only another model is selected; the interrupted one is restored anyway.
    run(connection, shop, "fct_event")
    assert sorted(contents(connection)["comments"]) == sorted(before["comments"])
    assert contents(connection).keys() == before.keys()
    assert contents(connection)["marts.dim_member"] == before["marts.dim_member"]


def test_build_builds_only_the_selection(connection: duckdb.DuckDBPyConnection, shop: Path) -> None:
    assert list(run(connection, shop, "+dim_member")) == ["stg_customers", "stg_events", "dim_member"]
    assert list(run(connection, shop, "dim_member")) == ["dim_member"]
    with pytest.raises(ProjectError, match="Did you mean dim_member"):
        build(connection, load_project(shop), ["dim_membr"])


def test_failure_skips_descendants_beyond_unselected_models(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(SHOP | {"models/m.yml": "models: [{name: stg_events, config: {materialized: table}}]"})
    run(connection, root)
    write({"models/staging/stg_events.sql": "select error('no') as event_id, 1 as customer_id, 1 as amount"})
    assert statuses(run(connection, root, "stg_events rpt_total")) == {
        "stg_events": "error",
        "rpt_total": "skipped",
    }

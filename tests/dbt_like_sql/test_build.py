from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbt_like_sql import NodeResult, ProjectError, build, load_project, select

from .conftest import SHOP, Write

ONE_ROW_A_MEMBER = """
    models:
      - name: dim_member
        description: It's everyone.
        config: {meta: {grain: [customer_id]}}
        columns:
          - name: customer_id
            data_tests: [not_null, unique]
          - name: balance
            data_tests:
              - expression_is_true: {expression: ">= 0"}
    """


def run(connection: duckdb.DuckDBPyConnection, root: Path, selectors: str = "") -> dict[str, NodeResult]:
    project = load_project(root)
    return {result.name: result for result in build(connection, project, select(project, selectors))}


def statuses(results: dict[str, NodeResult]) -> dict[str, str]:
    return {name: result.status for name, result in results.items()}


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def contents(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    """Return every table but the raw ones, with its columns' comments."""
    names = rows(
        connection,
        "select schema_name || '.' || table_name, comment from duckdb_tables() "
        "where schema_name != 'rivo_raw' order by 1",
    )
    found = {name: [comment, *rows(connection, f"from {name} order by all")] for name, comment in names}
    return found | {
        "comments": rows(connection, "select table_name, column_name, comment from duckdb_columns()")
    }


def test_a_build_makes_every_table(connection: duckdb.DuckDBPyConnection, shop: Path) -> None:
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
    # Staging has a column without a description: nobody reads it there.
    assert [t.status for r in results.values() for t in r.tests] == ["pass"] * 5


def test_results_come_as_the_tables_are_finished(connection: duckdb.DuckDBPyConnection, shop: Path) -> None:
    results = build(connection, load_project(shop))
    assert next(results).name == "stg_customers"
    assert rows(connection, "select table_name from duckdb_tables() where schema_name != 'rivo_raw'") == [
        ("stg_customers",)
    ]


def test_a_second_build_changes_nothing(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    root = write(SHOP | {"models/m.yml": ONE_ROW_A_MEMBER, "seeds/rules.csv": "a,b\n1,x\n"})
    run(connection, root)
    before = contents(connection)
    assert set(statuses(run(connection, root)).values()) == {"success"}
    assert contents(connection) == before


def test_documentation_goes_into_the_database(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    run(connection, write(SHOP | {"models/m.yml": ONE_ROW_A_MEMBER}))
    assert rows(connection, "select comment from duckdb_tables() where table_name = 'dim_member'") == [
        ("It's everyone.",)
    ]
    assert rows(
        connection, "select column_name, comment from duckdb_columns() where table_name = 'dim_member'"
    ) == [("customer_id", "The member."), ("email", "The address."), ("balance", "Points held.")]


def test_a_failed_blocking_test_keeps_the_last_good_version(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(SHOP | {"models/m.yml": ONE_ROW_A_MEMBER})
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
        "unique_dim_member_customer_id: 1 failing row, as in: customer_id 1. "
        "expression_is_true_dim_member_balance_0: 1 failing row, as in: customer_id 3. "
        "The last good version stays."
    )
    skipped = results["rpt_total"]
    assert (skipped.message, skipped.blocked_by) == (
        "Skipped, because marts.dim_member failed.",
        ("dim_member",),
    )
    assert skipped.rows is None

    connection.execute("delete from rivo_raw.customers where email = 'again@x.org'")
    connection.execute("delete from rivo_raw.events where id = 4")
    assert set(statuses(run(connection, root)).values()) == {"success"}


def test_a_model_that_fails_at_first_leaves_nothing(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    connection.execute("insert into rivo_raw.customers values (null, 'x@x.org', 5)")
    results = run(connection, write(SHOP | {"models/m.yml": ONE_ROW_A_MEMBER}))
    assert results["dim_member"].message.endswith("There is no earlier version to keep.")
    assert rows(connection, "select table_name from duckdb_tables() where schema_name = 'marts'") == [
        ("fct_event",)
    ]


def test_an_error_in_the_sql_keeps_the_last_good_version(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
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
        "stg_customers": "success",
        "stg_events": "error",
        "dim_member": "skipped",
        "fct_event": "skipped",
        "rpt_total": "skipped",
    }
    assert results["stg_events"].message.startswith(
        'models/staging/stg_events.sql, line 2: Referenced column "customer" not found in FROM clause! '
        'Candidate bindings: "customer_id"'
    )
    # What failed itself is named, not what was skipped in between.
    assert results["rpt_total"].blocked_by == ("stg_events",)
    assert contents(connection) == before


def test_an_error_while_running_is_one_sentence(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    root = write(
        SHOP
        | {"models/marts/dim_member.sql": "select\n  email::int as customer_id\nfrom staging.stg_customers"}
    )
    result = run(connection, root, "+dim_member")["dim_member"]
    assert result.status == "error"
    assert result.message == (
        "models/marts/dim_member.sql, line 2: Could not convert string 'a@x.org' to INT32 "
        "when casting from source column email"
    )


def test_what_is_missing_is_named(connection: duckdb.DuckDBPyConnection, shop: Path) -> None:
    result = run(connection, shop, "dim_member")["dim_member"]
    assert result.message == (
        "models/marts/dim_member.sql reads staging.stg_customers, which has not been built yet. "
        "Build it too: +dim_member"
    )
    connection.execute("drop table rivo_raw.events")
    result = run(connection, shop)["stg_events"]
    assert result.message == (
        "models/staging/stg_events.sql reads rivo_raw.events, which is not in this database. "
        "It has not been loaded yet."
    )


@pytest.mark.parametrize("died", ["before the new version", "with the new version", "after renaming back"])
def test_a_build_that_died_is_tidied_up_by_the_next(
    connection: duckdb.DuckDBPyConnection, shop: Path, died: str
) -> None:
    run(connection, shop)
    before = contents(connection)
    if died != "after renaming back":
        connection.execute("alter table marts.dim_member rename to dim_member__last_good")
    if died == "with the new version":
        connection.execute("create table marts.dim_member as select 'half' as done")
    # Another model is built; the one that was left is put back all the same.
    run(connection, shop, "fct_event")
    assert sorted(contents(connection)["comments"]) == sorted(before["comments"])
    assert contents(connection).keys() == before.keys()
    assert contents(connection)["marts.dim_member"] == before["marts.dim_member"]


def test_only_what_is_selected_is_built(connection: duckdb.DuckDBPyConnection, shop: Path) -> None:
    assert list(run(connection, shop, "+dim_member")) == ["stg_customers", "stg_events", "dim_member"]
    assert list(run(connection, shop, "dim_member")) == ["dim_member"]
    with pytest.raises(ProjectError, match="Did you mean dim_member"):
        build(connection, load_project(shop), ["dim_membr"])


def test_a_failure_reaches_past_what_is_not_selected(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(SHOP)
    run(connection, root)
    write({"models/staging/stg_events.sql": "select error('no') as event_id, 1 as customer_id, 1 as amount"})
    assert statuses(run(connection, root, "stg_events rpt_total")) == {
        "stg_events": "error",
        "rpt_total": "skipped",
    }


def test_a_warning_does_not_block(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    root = write(
        SHOP
        | {
            "models/m.yml": """
                models:
                  - name: dim_member
                    columns:
                      - name: balance
                        data_tests:
                          - expression_is_true: {expression: "> 0", config: {severity: warn}}
                """
        }
    )
    results = run(connection, root)
    assert set(statuses(results).values()) == {"success"}
    warned = results["dim_member"].tests[1]
    assert (warned.status, warned.failures, warned.sample) == ("warn", 1, ({"customer_id": 3},))
    assert rows(connection, warned.sql) == [(3, "c@x.org", 0)]


def test_seeds_are_loaded_with_their_types(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    root = write(
        SHOP
        | {
            "seeds/rules.csv": 'Code,label,priority,share\n01,"a, ""b""",1,0.5\n02,,2,1\n',
            "seeds/s.yml": """
                seeds:
                  - name: rules
                    description: The rules.
                    config: {column_types: {code: varchar, share: "decimal(9, 2)"}}
                    columns: [{name: priority, description: The first wins., data_tests: [unique]}]
                """,
            "models/intermediate/int_rules.sql": "select code, priority from seeds.rules",
        }
    )
    results = run(connection, root, "int_rules+ +int_rules")
    seed = results["rules"]
    assert (seed.kind, seed.schema, seed.status, seed.rows) == ("seed", "seeds", "success", 2)
    assert seed.columns == (
        ("Code", "VARCHAR"),
        ("label", "VARCHAR"),
        ("priority", "BIGINT"),
        ("share", "DECIMAL(9,2)"),
    )
    assert rows(connection, "select code, label, priority from seeds.rules") == [
        ("01", 'a, "b"', 1),
        ("02", None, 2),
    ]
    assert results["int_rules"].rows == 2

    write({"seeds/rules.csv": "Code,label,priority,share\n01,,1,0.5\n02,,1,1\n"})
    assert statuses(run(connection, root, "rules+")) == {"rules": "failed", "int_rules": "skipped"}
    assert rows(connection, "select max(priority) from seeds.rules") == [(2,)]
    write({"seeds/rules.csv": "Code,label,priority,share\n01,,1,half\n"})
    assert "rules.csv" in run(connection, root, "rules")["rules"].message


def test_the_type_of_a_seeds_column_is_that_of_all_its_rows(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    numbers = "".join(f"{i}\n" for i in range(25_000))
    result = run(connection, write({"seeds/codes.csv": f"code\n{numbers}late\n"}))["codes"]
    assert (result.status, result.columns) == ("success", (("code", "VARCHAR"),))


def test_a_singular_test_runs_with_the_last_model_it_reads(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(
        SHOP
        | {
            "tests/total_is_right.sql": """
                -- The report says what the members hold.
                select * from reports.rpt_total
                where balance != (select sum(amount) from marts.fct_event); -- cents and all
                """
        }
    )
    results = run(connection, root)
    assert [t.name for t in results["rpt_total"].tests] == ["documented_columns", "total_is_right"]
    assert results["rpt_total"].tests[1].status == "pass"

    write(
        {
            "models/marts/fct_event.sql": "select event_id, customer_id, 2 * amount as amount from staging.stg_events"
        }
    )
    failed = run(connection, root)["rpt_total"]
    assert failed.status == "failed"
    assert failed.message == "total_is_right: 1 failing row. The last good version stays."

    # A test that cannot be run, since one of the tables it reads was not renewed, does not pass.
    write({"models/marts/fct_event.sql": "select error('no') as event_id, 1 as customer_id, 1 as amount"})
    results = run(connection, root)
    assert (results["rpt_total"].status, results["rpt_total"].blocked_by) == ("skipped", ("fct_event",))
    write({"tests/t.yml": "data_tests: [{name: total_is_right, config: {severity: warn}}]"})
    results = run(connection, root)
    assert results["rpt_total"].status == "success"
    assert results["rpt_total"].tests[1].status == "warn"
    assert (
        results["rpt_total"].tests[1].message
        == "Not run, because marts.fct_event failed, which it reads too."
    )


def test_what_people_read_is_documented(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    root = write(
        SHOP
        | {"models/reports/rpt_new.sql": "select customer_id, 1 as novel, 2 as other from marts.dim_member"}
    )
    result = run(connection, root)["rpt_new"]
    assert result.status == "success"
    assert [(t.name, t.severity, t.status, t.message) for t in result.tests] == [
        ("documented_columns", "warn", "warn", "Without a description: novel, other.")
    ]


def test_what_is_documented_exists(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    root = write(
        SHOP
        | {
            "models/staging/stg_all.sql": "select * from rivo_raw.customers",
            "models/m.yml": "models: [{name: stg_all, columns: [{name: phone, description: Gone.}]}]",
        }
    )
    result = run(connection, root, "stg_all")["stg_all"]
    assert result.status == "failed"
    assert result.message == (
        "documented_columns: Documented, but not there: phone. There is no earlier version to keep."
    )


def test_a_sample_is_ids_and_grain_in_order(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    sql = "select r % 7 as day, 'secret' as note from range(20, 0, -1) as t(r)"
    root = write(
        SHOP
        | {
            "models/reports/rpt_day.sql": sql,
            "models/m.yml": """
                models:
                  - name: rpt_day
                    config: {meta: {grain: day}}
                    columns: [{name: note, data_tests: [accepted_values: {values: [x]}]}]
                """,
        }
    )
    test = run(connection, root, "rpt_day")["rpt_day"].tests[1]
    assert test.failures == 20
    assert test.sample == tuple({"day": day} for day in range(5))
    assert test.message == "20 failing rows, as in: day 0; day 1; day 2; day 3; day 4."


def test_a_test_that_cannot_run_blocks_as_if_it_failed(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    entry = (
        "models: [{name: dim_member, data_tests: [expression_is_true: {expression: blance > 0, config: %s}]}]"
    )
    result = run(connection, write(SHOP | {"models/m.yml": entry % "{}"}))["dim_member"]
    assert result.status == "failed"
    assert result.tests[0].status == "error"
    assert result.tests[0].message.startswith(
        'The test itself cannot run: Referenced column "blance" not found'
    )
    write({"models/m.yml": entry % "{severity: warn}"})
    result = run(connection, write({}))["dim_member"]
    assert (result.status, result.tests[0].status) == ("success", "error")


def test_personal_data_does_not_come_with_a_failure(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(
        SHOP
        | {
            "models/m.yml": """
                models:
                  - name: stg_customers
                    columns:
                      - name: email
                        data_tests:
                          - accepted_values: {values: [a@x.org]}
                          - unique
                """
        }
    )
    connection.execute("insert into rivo_raw.customers select id + 10, 'b@x.org', 0 from range(9) as r(id)")
    result = run(connection, root)["stg_customers"]
    values, unique = result.tests[1:]
    assert values.failures == 11
    assert values.sample == tuple({"customer_id": i} for i in (2, 3, 10, 11, 12))
    assert (unique.failures, unique.sample) == (1, ())
    assert "@" not in result.message

"""Builds and their data tests: warnings, seeds, documentation, samples."""

from __future__ import annotations

import duckdb

from dbt_like_sql.runner import TestResult

from .building import rows, run, statuses
from .conftest import SHOP, Write


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


def of_notes(connection: duckdb.DuckDBPyConnection, write: Write, grain: str, sql: str) -> TestResult:
    """The test of a report whose every note is wrong."""
    properties = f"""
        models:
          - name: rpt_note
            config: {{meta: {{grain: {grain}}}}}
            columns: [{{name: note, data_tests: [accepted_values: {{values: [x]}}]}}]
        """
    root = write(SHOP | {"models/reports/rpt_note.sql": sql, "models/m.yml": properties})
    return run(connection, root, "rpt_note")["rpt_note"].tests[1]


def test_a_sample_is_ids_and_grain_in_order(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    sql = "select r % 7 as day, 'secret' as note from range(20, 0, -1) as t(r)"
    test = of_notes(connection, write, "day", sql)
    assert test.failures == 20
    assert test.sample == tuple({"day": day} for day in range(5))
    assert test.message == "20 failing rows, as in: day 0; day 1; day 2; day 3; day 4."


def test_ids_that_a_failing_row_lacks_are_not_told(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    sql = "select * from (values (1, null, 'y'), (null, null, 'y')) as t (event_id, order_id, note)"
    test = of_notes(connection, write, "event_id", sql)
    assert test.message == "2 failing rows, as in: event_id 1; event_id null, order_id null."


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

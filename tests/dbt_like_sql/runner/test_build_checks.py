"""Data tests in a build: warnings, seeds, documented columns, samples of failing rows."""

from __future__ import annotations

import duckdb
import pytest

from dbt_like_sql.runner import TestResult, load_project
from dbt_like_sql.runner.checking import run_test

from .building import rows, run, statuses
from .conftest import SHOP, Write


def test_warning_does_not_block_the_build(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
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


ROW_TESTS = """
models:
  - name: fct_event
    columns:
      - {name: event_id, description: The id., data_tests: [not_null]}
      - name: amount
        description: The amount.
        data_tests:
          - not_null
          - expression_is_true: {name: amounts_are_large, expression: "> 1000", config: {severity: warn}}
          - accepted_values: {name: some_amounts, values: [1, 2], config: {severity: warn, where: amount < 0}}
          - expression_is_true: {name: cannot_run, expression: "> 'x'::int", config: {severity: warn}}
"""


@pytest.mark.parametrize("is_broken", [False, True])
def test_tests_of_rows_in_one_scan_have_the_results_of_each_alone(
    connection: duckdb.DuckDBPyConnection, write: Write, is_broken: bool
) -> None:
    text = (
        ROW_TESTS
        if is_broken
        else ROW_TESTS[: ROW_TESTS.index("          - expression_is_true: {name: cannot")]
    )
    root = write(SHOP | {"models/m.yml": text})
    results = run(connection, root)["fct_event"].tests
    project = load_project(root)
    alone = [run_test(connection, project, test, {}) for test in project.tests_of("fct_event")]

    assert list(results) == alone
    found = {test.name: test.status for test in results}
    assert found["not_null_fct_event_amount"] == "pass"
    assert found["amounts_are_large"] == "warn"
    assert found.get("cannot_run") == ("error" if is_broken else None)


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


def test_seed_column_type_is_inferred_from_all_rows(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    numbers = "".join(f"{i}\n" for i in range(25_000))
    result = run(connection, write({"seeds/codes.csv": f"code\n{numbers}late\n"}))["codes"]
    assert (result.status, result.columns) == ("success", (("code", "VARCHAR"),))


def test_singular_test_runs_with_the_last_model_it_reads(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(
        SHOP
        | {
            "tests/total_is_right.sql": """
                -- The report has the balances of the members.
                select * from reports.rpt_total
                where balance != (select sum(amount) from marts.fct_event); -- a comment after the statement
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
    assert failed.message == "total_is_right: 1 failing row. The last good version is kept."

    # A test does not pass if a table it reads could not be updated.
    write({"models/marts/fct_event.sql": "select error('no') as event_id, 1 as customer_id, 1 as amount"})
    results = run(connection, root)
    assert (results["rpt_total"].status, results["rpt_total"].blocked_by) == ("skipped", ("fct_event",))
    write({"tests/t.yml": "data_tests: [{name: total_is_right, config: {severity: warn}}]"})
    results = run(connection, root)
    assert results["rpt_total"].status == "success"
    assert results["rpt_total"].tests[1].status == "warn"
    assert (
        results["rpt_total"].tests[1].message
        == "Not run because it also reads marts.fct_event, which failed."
    )


def test_undocumented_column_of_a_report_warns(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    root = write(
        SHOP
        | {"models/reports/rpt_new.sql": "select customer_id, 1 as novel, 2 as other from marts.dim_member"}
    )
    result = run(connection, root)["rpt_new"]
    assert result.status == "success"
    assert [(t.name, t.severity, t.status, t.message) for t in result.tests] == [
        ("documented_columns", "warn", "warn", "Columns without a description: novel, other.")
    ]


def test_documented_column_that_does_not_exist_fails(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
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
        "documented_columns: Documented columns that do not exist: phone. A view shows the rows of the tables that it "
        "reads, so nothing is published until it passes."
    )


def failing_notes_test(
    connection: duckdb.DuckDBPyConnection, write: Write, grain: str, sql: str
) -> TestResult:
    """Build a report in which every note is invalid, and return the result of its test."""
    properties = f"""
        models:
          - name: rpt_note
            config: {{meta: {{grain: {grain}}}}}
            columns: [{{name: note, data_tests: [accepted_values: {{values: [x]}}]}}]
        """
    root = write(SHOP | {"models/reports/rpt_note.sql": sql, "models/m.yml": properties})
    return run(connection, root, "rpt_note")["rpt_note"].tests[1]


def test_sample_shows_ids_and_grain_in_order(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    sql = "select r % 7 as day, 'secret' as note from range(20, 0, -1) as t(r)"
    test = failing_notes_test(connection, write, "day", sql)
    assert test.failures == 20
    assert test.sample == tuple({"day": day} for day in range(5))
    assert test.message == "20 failing rows, for example: day 0; day 1; day 2; day 3; day 4."


def test_sample_leaves_out_null_ids(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    sql = "select * from (values (1, null, 'y'), (null, null, 'y')) as t (event_id, order_id, note)"
    test = failing_notes_test(connection, write, "event_id", sql)
    assert test.message == "2 failing rows, for example: event_id 1; event_id null, order_id null."


def test_data_test_that_cannot_run_blocks_like_a_failure(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    entry = (
        "models: [{name: dim_member, data_tests: [expression_is_true: {expression: blance > 0, config: %s}]}]"
    )
    result = run(connection, write(SHOP | {"models/m.yml": entry % "{}"}))["dim_member"]
    assert result.status == "failed"
    assert result.tests[0].status == "error"
    assert result.tests[0].message.startswith('The test could not run: Referenced column "blance" not found')
    write({"models/m.yml": entry % "{severity: warn}"})
    result = run(connection, write({}))["dim_member"]
    assert (result.status, result.tests[0].status) == ("success", "error")


def test_failure_message_holds_no_personal_data(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
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

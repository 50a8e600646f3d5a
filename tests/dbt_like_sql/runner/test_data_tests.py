from __future__ import annotations

from typing import Any

import duckdb
import pytest
import yaml

from dbt_like_sql.runner import GENERIC_TESTS, DataTest, ProjectError
from dbt_like_sql.runner.data_tests import build_test

ROWS = "(1, 'a', 10, 1), (2, 'b', -5, 1), (2, null, 7, 9), (null, 'c', null, null)"


@pytest.fixture
def table() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        f"create schema marts; create table marts.t as select * from (values {ROWS}) as t(id, kind, amount, parent);"
        "create table marts.p as select * from (values (1), (null)) as p(key)"
    )
    return connection


def make_test(entry: str, column: str | None = None) -> DataTest:
    def resolve(name: str, where: str) -> tuple[str, str]:
        return name, f"marts.{name}"

    return build_test(
        yaml.safe_load(entry), node="t", relation="marts.t", column=column, where="m.yml, t", resolve=resolve
    )


@pytest.mark.parametrize(
    ("entry", "column", "name", "failing"),
    [
        ("not_null", "id", "not_null_t_id", [(None, "c", None, None)]),
        ("unique", "id", "unique_t_id", [(2, 2)]),
        ("unique", "kind", "unique_t_kind", []),
        (
            "accepted_values: {values: [a, b]}",
            "kind",
            "accepted_values_t_kind",
            [(None, "c", None, None)],
        ),
        ("accepted_values: {values: [1, 2]}", "id", "accepted_values_t_id", []),
        ('accepted_values: {arguments: {values: ["it\'s", a, b, c]}}', "kind", "accepted_values_t_kind", []),
        ("relationships: {to: p, field: key}", "parent", "relationships_t_parent", [(2, None, 7, 9)]),
        (
            "dbt_utils.unique_combination_of_columns: {combination_of_columns: [id, parent]}",
            None,
            "unique_combination_of_columns_t_id__parent",
            [],
        ),
        (
            "unique_combination_of_columns: {combination_of_columns: [id]}",
            None,
            "unique_combination_of_columns_t_id",
            [(2, 2)],
        ),
        (
            "expression_is_true: {expression: amount > 0 or kind = 'x'}",
            None,
            "expression_is_true_t_amount_0_or_kind_x",
            [(2, "b", -5, 1)],
        ),
        (
            "dbt_utils.expression_is_true: {arguments: {expression: '>= 0'}}",
            "amount",
            "expression_is_true_t_amount_0",
            [(2, "b", -5, 1)],
        ),
        ("unique: {config: {where: kind is not null}}", "id", "unique_t_id", []),
        (
            "relationships: {to: p, field: key, config: {where: id = 1}}",
            "parent",
            "relationships_t_parent",
            [],
        ),
        ("not_null: {name: every row has an id}", "id", "every_row_has_an_id", [(None, "c", None, None)]),
    ],
)
def test_generic_test_returns_the_failing_rows(
    table: duckdb.DuckDBPyConnection, entry: str, column: str | None, name: str, failing: list[Any]
) -> None:
    test = make_test(entry, column)
    assert test.name == name
    assert table.execute(test.sql).fetchall() == failing
    if test.passes_if:
        assert table.execute(f"select {test.passes_if} from marts.t").fetchall() == [(not failing,)]


def test_generic_test_reads_severity_and_dependencies() -> None:
    assert make_test("not_null", "id").severity == "error"
    assert make_test("not_null: {config: {severity: WARN}}", "id").severity == "warn"
    assert make_test("not_null: {severity: warn}", "id").severity == "warn"
    assert make_test("relationships: {to: p, field: key}", "parent").depends_on == ("p",)
    assert make_test("relationships: {to: t, field: id}", "parent").depends_on == ()
    assert set(GENERIC_TESTS) == {
        "not_null",
        "unique",
        "accepted_values",
        "relationships",
        "unique_combination_of_columns",
        "expression_is_true",
    }


@pytest.mark.parametrize(
    ("entry", "column", "message"),
    [
        ("uniqe", "id", r"m.yml, t: there is no test called uniqe. Did you mean unique\?"),
        ("not_null", None, "the test not_null needs a column. Move it to one of the model's columns."),
        ("accepted_values", "id", "the test accepted_values needs the argument 'values'."),
        ("accepted_values: {value: [1]}", "id", "the test accepted_values needs the argument 'values'."),
        ("not_null: {values: [1]}", "id", "the test not_null has no argument 'values'."),
        (
            "unique: {config: {severty: warn}}",
            "id",
            r"config of unique: unknown key 'severty'. Did you mean severity\?",
        ),
        ("unique: {config: {severity: low}}", "id", "severity is 'low', but it must be 'error' or 'warn'."),
        ("[unique]", "id", "expected the name of a test, or a name with its arguments; found"),
        ("unique: [a]", "id", r"m.yml, t, test unique: expected a mapping"),
    ],
)
def test_invalid_test_entry_is_an_error(entry: str, column: str | None, message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        make_test(entry, column)

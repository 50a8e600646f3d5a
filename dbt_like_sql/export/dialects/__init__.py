"""The SQL of the models in other dialects, with dbt's references.

The only package that writes SQL of other engines. sqlglot does the mechanical part. What it cannot do is done first, by
the rewrites of `REWRITES`: functions that change the parsed query in place, each with the reason in its docstring.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ErrorLevel

from dbt_like_sql.export.dialects import bigquery, common, lists, postgres, snowflake, spark, trino
from dbt_like_sql.export.dialects.stars import Tables

Rewrite = Callable[[exp.Query, Tables], None]
Reference = Callable[[str], str]
"""Return dbt's call for a table by its name in SQL: "{{ ref('dim_member') }}"."""

_SPARK: Sequence[Rewrite] = (
    common.explicit_columns,
    common.divide_as_double,
    common.months_apart,
    common.greatest_row_without_nulls,
    common.last_instant,
    spark.instant_of_local_time,
    spark.guarded_sequence,
    spark.parsed_dates,
    spark.number_format,
    spark.names_of_days,
    spark.monday_first,
    spark.windows_in_parentheses,
    spark.sorted_set,
    spark.microseconds,
    spark.numbers_of_texts,
    spark.exact_products,
    spark.rounded_integers,
)

REWRITES: dict[str, Sequence[Rewrite]] = {
    "duckdb": (),
    "postgres": (
        common.explicit_columns,
        common.divide_as_double,
        common.group_by_expressions,
        common.months_apart,
        common.named_subqueries,
        common.full_join_by_equality,
        postgres.first_of_array,
        postgres.checked_casts,
        postgres.parsed_dates,
        postgres.series_function,
        postgres.json_of_text,
        postgres.number_format,
        postgres.names_of_days,
        postgres.differences,
        postgres.pattern_of_text,
        postgres.parts_of_dates,
        postgres.microseconds,
    ),
    "spark": _SPARK,
    "databricks": _SPARK,
    "snowflake": (
        common.explicit_columns,
        common.divide_as_double,
        common.aggregate_of_case,
        snowflake.first_of_array,
        common.greatest_row_without_nulls,
        common.compare_one_by_one,
        common.full_join_by_equality,
        common.last_instant,
        snowflake.checked_casts,
        snowflake.parsed_dates,
        snowflake.instant_of_local_time,
        snowflake.found_pattern,
        snowflake.text_functions,
        snowflake.whole_division,
        snowflake.added_intervals,
        snowflake.flattened_series,
        snowflake.json_of_variant,
        snowflake.microseconds,
        snowflake.names_in_capitals,
    ),
    "bigquery": (
        common.explicit_columns,
        common.divide_as_double,
        lists.first_by_row(lists.BIGQUERY),
        lists.percentiles(lists.BIGQUERY),
        common.aggregate_of_case,
        common.greatest_row_without_nulls,
        common.compare_one_by_one,
        common.full_join_by_equality,
        common.last_instant,
        bigquery.greatest_of_list,
        bigquery.rounded_decimals,
        bigquery.truncated_dates,
        bigquery.instant_of_local_time,
        bigquery.parsed_dates,
        bigquery.text_functions,
        bigquery.date_functions,
        bigquery.series_column,
        bigquery.texts_joined,
        bigquery.usual_order_of_nulls,
    ),
    "trino": (
        common.explicit_columns,
        common.divide_as_double,
        common.group_by_expressions,
        common.months_apart,
        lists.percentiles(lists.TRINO),
        common.greatest_row_without_nulls,
        common.full_join_by_equality,
        common.last_instant,
        spark.guarded_sequence,
        trino.greatest_of_array,
        trino.days_added,
        trino.instant_of_local_time,
        trino.parsed_dates,
        trino.text_functions,
        trino.date_functions,
        trino.whole_division,
    ),
}
DIALECTS = tuple(REWRITES)


def transpile(sql: str, dialect: str, tables: Tables, reference: Reference) -> str:
    """Return a SELECT of DuckDB in another dialect, formatted, with dbt's calls in place of tables.

    Comments and, for DuckDB, the whole text stay as they are.
    """
    tree = DuckDB().parse(sql)[0]
    assert isinstance(tree, exp.Query)
    if dialect == "duckdb":
        return _with_references(sql, tree, reference)
    for rewrite in (common.plain_english, *REWRITES[dialect]):
        rewrite(tree, tables)
    for table in _tables(tree):
        name = f"{table.db}.{table.name}"
        table.set("this", exp.var(reference(name.lower())))
        table.set("db", None)
    return _spaced(_sql(tree, dialect, pretty=True, max_text_width=110, normalize_functions="lower"))


def _sql(tree: exp.Expr, dialect: str, **options: Any) -> str:
    # Its warnings are about the order of nulls in windows and aggregates whose keys are never null.
    return tree.sql(dialect, unsupported_level=ErrorLevel.IGNORE, **options)


def _spaced(sql: str) -> str:
    """Put blank lines between CTEs, `select * from ...` on one line, and comments of a line after two hyphens."""
    sql = re.sub(r"^\), (?=\w)", "),\n\n", sql, flags=re.MULTILINE)
    sql = re.sub(r"^\)\n(?=SELECT)", ")\n\n", sql, flags=re.MULTILINE)
    sql = re.sub(r"FILTER\(WHERE\n +", "FILTER (WHERE ", sql)
    sql = re.sub(r"SELECT\n +\*\n *FROM", "SELECT * FROM", sql)
    return re.sub(r"^( *)/\* (.*) \*/$", r"\1-- \2", sql, flags=re.MULTILINE)


def _tables(tree: exp.Query) -> list[exp.Table]:
    return [table for table in tree.find_all(exp.Table) if table.args.get("db")]


def _with_references(sql: str, tree: exp.Query, reference: Reference) -> str:
    for table in sorted(_tables(tree), key=lambda each: -each.this.meta["start"]):
        start, end = table.args["db"].meta["start"], table.this.meta["end"]
        sql = sql[:start] + reference(f"{table.db}.{table.name}".lower()) + sql[end + 1 :]
    return sql


def condition(sql: str, dialect: str) -> tuple[str, bool]:
    """Return a condition of DuckDB in another dialect, and whether it reads other tables.

    A condition that needs no change stays as it is written.
    """
    tree = DuckDB().parse(f"select 1 as one from tested where {sql}")[0]
    assert isinstance(tree, exp.Query)
    if _tables(tree):
        return sql, True
    before = tree.args["where"].this.sql("duckdb")
    for rewrite in REWRITES[dialect]:
        rewrite(tree, {})
    after = _sql(tree.args["where"].this, dialect)
    return (sql if after == before else after), False


def data_type(name: str, dialect: str) -> str:
    """Return a type of DuckDB in another dialect: `timestamp with time zone` -> `TIMESTAMPTZ`."""
    if dialect == "duckdb":
        return name
    kind = exp.DataType.build(name, dialect="duckdb")
    if kind.is_type(exp.DataType.Type.JSON) and dialect in ("spark", "databricks"):
        return "string"  # There is no type for JSON.
    return kind.sql(dialect).lower()

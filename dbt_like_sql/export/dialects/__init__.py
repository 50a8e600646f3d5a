"""The SQL of the models in other dialects, with dbt's references.

The only package that writes SQL of other engines. sqlglot does the mechanical part. What it cannot do is done first, by
the rewrites of `REWRITES`: functions that change the parsed query in place, each with the reason in its docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

from dbt_like_sql.export.dialects import common, postgres, spark
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
)

REWRITES: dict[str, Sequence[Rewrite]] = {
    "duckdb": (),
    "postgres": (
        common.explicit_columns,
        common.divide_as_double,
        common.group_by_expressions,
        common.months_apart,
        common.named_subqueries,
        postgres.first_of_array,
        postgres.checked_casts,
        postgres.parsed_dates,
        postgres.series_function,
        postgres.json_of_text,
        postgres.number_format,
        postgres.full_join_by_equality,
        postgres.names_of_days,
        postgres.differences,
        postgres.pattern_of_text,
        postgres.parts_of_dates,
    ),
    "spark": _SPARK,
    "databricks": _SPARK,
    "snowflake": (),
    "bigquery": (),
    "trino": (),
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
    for rewrite in REWRITES[dialect]:
        rewrite(tree, tables)
    for table in _tables(tree):
        name = f"{table.db}.{table.name}"
        table.set("this", exp.var(reference(name.lower())))
        table.set("db", None)
    return tree.sql(dialect, pretty=True, max_text_width=110, normalize_functions="lower")


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
    after = tree.args["where"].this.sql(dialect)
    return (sql if after == before else after), False


def data_type(name: str, dialect: str) -> str:
    """Return a type of DuckDB in another dialect: `timestamp with time zone` -> `TIMESTAMPTZ`."""
    if dialect == "duckdb":
        return name
    kind = exp.DataType.build(name, dialect="duckdb")
    return kind.sql(dialect).lower()

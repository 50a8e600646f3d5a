"""The files of a dbt project around its models: settings, profile, macros, README."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from textwrap import dedent
from typing import Any

from dbt_like_sql.export.choice import Choice
from dbt_like_sql.export.engines import ENGINES, Engine
from dbt_like_sql.export.exposures import exposures
from dbt_like_sql.export.property_files import dump
from dbt_like_sql.runner.project import LAYERS, MATERIALIZED, SEEDS

NAME = "rivo_loyalty"
"""Name of the dbt project and of its profile."""
DBT = (">=1.10.5", "<2.0.0")
"""Versions of dbt-core that read the project."""

_EXPRESSION = """\
{% test expression_is_true(model, expression, column_name=none) %}
{#- Rows for which an expression is false; null passes. With a column, the expression is what follows its name. #}
select *
from {{ model }}
where not ({{ column_name ~ ' ' if column_name }}{{ expression }})
{% endtest %}
"""
_SPARK_SEEDS = """\
{% macro spark__load_csv_rows(model, agate_table) %}
{#- dbt-spark inserts an empty value as a text in some of its methods. Here it is null. #}
{%- set types = model['config'].get('column_types', {}) %}
{%- set sql %}
insert into {{ this.render() }} values
{%- for row in agate_table.rows %}
({%- for name in agate_table.column_names %}
{%- set value = row[loop.index0] %}
{%- set type = types.get(name, adapter.convert_type(agate_table, loop.index0)) %}
{%- if value is none %}cast(null as {{ type }})
{%- else %}cast('{{ value | string | replace("\\\\", "\\\\\\\\") | replace("'", "\\\\'") }}' as {{ type }})
{%- endif %}{{ ", " if not loop.last }}
{%- endfor %}){{ "," if not loop.last }}
{%- endfor %}
{%- endset %}
{% do adapter.add_query(sql, abridge_sql_log=True) %}
{{ return(sql) }}
{% endmacro %}
"""
_COMBINATION = """\
{% test unique_combination_of_columns(model, combination_of_columns) %}
{#- Combinations of values that occur more than once. #}
{%- set columns = combination_of_columns | join(', ') %}
select {{ columns }}, count(*) as occurrences
from {{ model }}
group by {{ columns }}
having count(*) > 1
{% endtest %}
"""


def project_files(choice: Choice, shop: str) -> Mapping[str, str]:
    """Return the text of each file that is neither SQL nor a property file of models, by its path."""
    engine = ENGINES[choice.dialect]
    profile = {NAME: {"target": "rivo", "outputs": {"rivo": _output(engine, shop)}}}
    example = "# An example without secrets: each env_var() is an environment variable. See README.md.\n"
    macros = {"macros/spark__load_csv_rows.sql": _SPARK_SEEDS} if choice.dialect == "spark" else {}
    return {
        **macros,
        "dbt_project.yml": dump(_dbt_project(choice, engine, shop)),
        "profiles.yml": example + dump(profile),
        "models/reports/_exposures.yml": dump({"version": 2, "exposures": exposures(choice)}),
        "macros/test_expression_is_true.sql": _EXPRESSION,
        "macros/test_unique_combination_of_columns.sql": _COMBINATION,
        "README.md": _readme(choice, engine, shop),
        ".gitignore": "target/\nlogs/\ndbt_packages/\n.user.yml\n*.duckdb\n*.duckdb.wal\n",
    }


def _output(engine: Engine, shop: str) -> dict[str, Any]:
    """Return the profile's output; the tables of a shop get schemas of their own."""
    place = "dataset" if "dataset" in engine.profile else "schema"
    return {**engine.profile, place: f"rivo_{shop}" if shop else "rivo"}


def source_schemas(dialect: str, shop: str) -> dict[str, str]:
    """Return the var of each source schema with its default: a target that several shops share has `de_rivo_raw`."""
    prefix = f"{shop}_" if shop and dialect != "duckdb" else ""
    return {f"{schema}_schema": prefix + schema for schema in ("rivo_raw", "rivo_actions")}


def _dbt_project(choice: Choice, engine: Engine, shop: str) -> dict[str, Any]:
    models: dict[str, Any] = {}
    if engine.comments:
        models["+persist_docs"] = {"relation": True, "columns": True}
    for layer in LAYERS:
        models[layer] = {"+schema": layer, "+materialized": MATERIALIZED.get(layer, "table")}
    return {
        "name": NAME,
        "version": version("rivo-warehouse"),
        "config-version": 2,
        "profile": NAME,
        "require-dbt-version": list(DBT),
        "vars": source_schemas(choice.dialect, shop),
        "models": {NAME: models},
        "seeds": {NAME: {"+schema": SEEDS, "+quote_columns": False}},
        "flags": {
            "require_generic_test_arguments_property": True,
            "send_anonymous_usage_stats": False,
        },
    }


def _readme(choice: Choice, engine: Engine, shop: str) -> str:
    of_shop = f" --shop {shop}" if shop else ""
    schemas = source_schemas(choice.dialect, shop)
    target = f"rivo_{shop}" if shop else "rivo"
    settings = "\n".join(f"| `{name}` | {text} |" for name, text in engine.settings)
    database = (
        "| `rivo_source_database` | database of these schemas | the target's |\n" if engine.database else ""
    )
    if choice.dialect == "duckdb":
        database = database.replace("the target's", "the published file, attached as `rivo_source`")
    left_out = "\n".join(f"| `{name}` | {reason} |" for name, reason in choice.left_out.items())
    text = dedent(f"""\
        # The loyalty models of rivo-warehouse for {engine.title}

        A dbt project, written by `rivo models export --dialect {choice.dialect}{of_shop}`. It builds the models of
        rivo-warehouse {version("rivo-warehouse")} from the published `rivo_raw` and `rivo_actions`. Change the models
        there and export again; files that you change here are reported by the next export, and never replaced silently.

        ## Run

            python -m pip install "dbt-core>=1.10.5,<1.12" "{engine.adapter}"
            export DBT_PROFILES_DIR="$PWD"
            dbt build

        {engine.note}

        `profiles.yml` is an example. It reads:

        | variable | holds |
        |---|---|
        {{settings}}

        ## Sources

        Publish the schemas `rivo_raw` and `rivo_actions` to the engine first. If they have other names there, set these
        in `dbt_project.yml` or with `--vars`:

        | var | of | default |
        |---|---|---|
        | `rivo_raw_schema` | the raw lists | `{schemas["rivo_raw_schema"]}` |
        | `rivo_actions_schema` | the log of actions | `{schemas["rivo_actions_schema"]}` |
        {{database}}
        dbt puts the tables into schemas named after the target's own: `{target}_staging`, `{target}_intermediate`,
        `{target}_marts`, `{target}_reports` and `{target}_seeds`. No model reads the clock of the engine: "now" is the
        last complete sync in `rivo_raw.sync_log`, and days are those of the time zone in `rivo_raw.settings`.

        ## Not exported

        {{left_out}}

        The runner of rivo-warehouse also checks that every documented column exists. dbt has no such test.
        """)
    table = f"| model | reason |\n|---|---|\n{left_out}" if left_out else "Nothing: all models are here."
    return text.format(settings=settings, database=database, left_out=table)

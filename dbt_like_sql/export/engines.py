"""The engines that the models can be exported for, and how dbt reaches each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Engine:
    """An engine with its adapter of dbt."""

    title: str
    adapter: str
    """Package of the adapter, as `pip install` names it."""
    profile: Mapping[str, object]
    """Example of an output in `profiles.yml`; secrets are environment variables."""
    settings: tuple[tuple[str, str], ...]
    """Environment variables of the profile, each with what it holds."""
    database: str | None = "{{ var('rivo_source_database', target.database) }}"
    """Database of the sources; None if the engine has schemas only."""
    python: bool = False
    """Whether dbt runs Python models on it with pandas DataFrames."""
    recursion: bool = False
    """Whether a recursive query may read itself more than once."""
    comments: bool = True
    """Whether dbt stores the descriptions of tables and columns."""
    note: str = ""
    """Notes for a user before the first run."""


def _env(name: str, default: str | None = None) -> str:
    values = f"'{name}'" + (f", '{default}'" if default is not None else "")
    return f"{{{{ env_var({values}) }}}}"


def _number(name: str, default: str) -> str:
    return f"{{{{ env_var('{name}', '{default}') | int }}}}"


_LOGIN = (
    ("RIVO_DBT_HOST", "host of the server"),
    ("RIVO_DBT_USER", "user"),
    ("RIVO_DBT_PASSWORD", "password"),
)
_UTC = "The session time zone must be UTC, as in the example of profiles.yml: local days depend on it."

ENGINES: Mapping[str, Engine] = {
    "duckdb": Engine(
        "DuckDB",
        "dbt-duckdb",
        {
            "type": "duckdb",
            "path": _env("RIVO_DBT_PATH", "rivo_dbt.duckdb"),
            "schema": "rivo",
            "threads": 2,
            "settings": {"TimeZone": "UTC"},
            "attach": [{"path": _env("RIVO_WAREHOUSE"), "alias": "rivo_source", "read_only": True}],
        },
        (
            ("RIVO_WAREHOUSE", "the published file, absolute or relative to this folder; it is only read"),
            ("RIVO_DBT_PATH", "the file that dbt builds (default: rivo_dbt.duckdb in this folder)"),
        ),
        database="{{ var('rivo_source_database', 'rivo_source') }}",
        python=True,
        recursion=True,
        note="The Python models need pandas in dbt's environment. The sources are read from the published file itself.",
    ),
    "postgres": Engine(
        "PostgreSQL",
        "dbt-postgres",
        {
            "type": "postgres",
            "host": _env("RIVO_DBT_HOST", "localhost"),
            "port": _number("RIVO_DBT_PORT", "5432"),
            "user": _env("RIVO_DBT_USER"),
            "password": _env("RIVO_DBT_PASSWORD"),
            "dbname": _env("RIVO_DBT_DATABASE"),
            "schema": "rivo",
            "threads": 4,
        },
        (
            *_LOGIN,
            ("RIVO_DBT_PORT", "port (default: 5432)"),
            ("RIVO_DBT_DATABASE", "database, which also has the published rivo_raw"),
        ),
        note="PostgreSQL 15 or newer.",
    ),
    "spark": Engine(
        "Apache Spark",
        "dbt-spark[PyHive]",
        {
            "type": "spark",
            "method": "thrift",
            "host": _env("RIVO_DBT_HOST"),
            "port": _number("RIVO_DBT_PORT", "10000"),
            "user": _env("RIVO_DBT_USER"),
            "schema": "rivo",
            "threads": 4,
            "server_side_parameters": {"spark.sql.session.timeZone": "UTC"},
        },
        (*_LOGIN[:2], ("RIVO_DBT_PORT", "port of the Thrift server (default: 10000)")),
        database=None,
        comments=False,
        note=f"Spark 4.0 or newer. {_UTC}",
    ),
    "databricks": Engine(
        "Databricks",
        "dbt-databricks",
        {
            "type": "databricks",
            "host": _env("RIVO_DBT_HOST"),
            "http_path": _env("RIVO_DBT_HTTP_PATH"),
            "token": _env("RIVO_DBT_TOKEN"),
            "catalog": _env("RIVO_DBT_DATABASE"),
            "schema": "rivo",
            "threads": 4,
            "session_properties": {"timezone": "UTC"},
        },
        (
            ("RIVO_DBT_HOST", "host of the workspace"),
            ("RIVO_DBT_HTTP_PATH", "HTTP path of the SQL warehouse"),
            ("RIVO_DBT_TOKEN", "access token"),
            ("RIVO_DBT_DATABASE", "catalog, which also has the published rivo_raw"),
        ),
        note=_UTC,
    ),
    "snowflake": Engine(
        "Snowflake",
        "dbt-snowflake",
        {
            "type": "snowflake",
            "account": _env("RIVO_DBT_ACCOUNT"),
            "user": _env("RIVO_DBT_USER"),
            "password": _env("RIVO_DBT_PASSWORD"),
            "role": _env("RIVO_DBT_ROLE"),
            "warehouse": _env("RIVO_DBT_WAREHOUSE"),
            "database": _env("RIVO_DBT_DATABASE"),
            "schema": "rivo",
            "threads": 4,
        },
        (
            ("RIVO_DBT_ACCOUNT", "account"),
            *_LOGIN[1:],
            ("RIVO_DBT_ROLE", "role"),
            ("RIVO_DBT_WAREHOUSE", "virtual warehouse"),
            ("RIVO_DBT_DATABASE", "database, which also has the published rivo_raw"),
        ),
        note="Timestamps of the sources must be TIMESTAMP_TZ or TIMESTAMP_LTZ, and the session time zone UTC.",
    ),
    "bigquery": Engine(
        "BigQuery",
        "dbt-bigquery",
        {
            "type": "bigquery",
            "method": "oauth",
            "project": _env("RIVO_DBT_PROJECT"),
            "dataset": "rivo",
            "location": _env("RIVO_DBT_LOCATION", "EU"),
            "threads": 4,
        },
        (
            ("RIVO_DBT_PROJECT", "project, which also has the published rivo_raw"),
            ("RIVO_DBT_LOCATION", "location of the datasets (default: EU)"),
        ),
        note="Log in once with `gcloud auth application-default login`.",
    ),
    "trino": Engine(
        "Trino",
        "dbt-trino",
        {
            "type": "trino",
            "method": "ldap",
            "host": _env("RIVO_DBT_HOST"),
            "port": _number("RIVO_DBT_PORT", "443"),
            "user": _env("RIVO_DBT_USER"),
            "password": _env("RIVO_DBT_PASSWORD"),
            "database": _env("RIVO_DBT_DATABASE"),
            "schema": "rivo",
            "threads": 4,
            "session_properties": {},
            "timezone": "UTC",
        },
        (*_LOGIN, ("RIVO_DBT_DATABASE", "catalog, which also has the published rivo_raw")),
        note=_UTC,
    ),
}
"""Engines by the name of their dialect, as `--dialect` takes it."""

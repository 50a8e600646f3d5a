"""Messages of failed models and tests in Dagster: they hold numbers and ids, but no other values of the data."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import dagster as dg
import pytest

from assets.ops import sync_assets
from dbt_like_sql.runner import Project, load_project
from pipelines.warehouse import Warehouse
from pipelines.warehouse.raw_tables import ensure_tables, write_settings

FILES = {
    "models/sources.yml": """
        sources:
          - name: rivo_raw
            tables:
              - name: customers
                columns: [{name: id}, {name: email}, {name: first_name}]
        """,
    "models/staging/stg_customers.sql": "select id as customer_id, email, first_name from rivo_raw.customers",
    "models/marts/dim_fails.sql": "select * from staging.stg_customers",
    "models/marts/dim_warns.sql": "select * from staging.stg_customers",
    "models/marts/dim_breaks.sql": "select email::int as email from staging.stg_customers",
    "models/marts/dim_raises.sql": "select error('not ' || email) as email from staging.stg_customers",
    "models/marts/dim_python.py": "def model(stg_customers):\n    return int(stg_customers['first_name'][0])\n",
    "models/marts/dim_untestable.sql": "select * from staging.stg_customers",
    "models/m.yml": """
        models:
          - name: dim_fails
            config: {meta: {grain: [email]}}
            columns:
              - name: email
                description: The address.
                data_tests: [accepted_values: {values: [nobody]}]
              - name: first_name
                data_tests: [accepted_values: {values: [nobody]}]
          - name: dim_warns
            columns:
              - name: email
                description: The address.
                data_tests: [accepted_values: {values: [nobody], severity: warn}]
          - name: dim_untestable
            data_tests: [expression_is_true: {expression: "first_name::int > 0"}]
        """,
}
CUSTOMERS = ((7001, "ada@shop.example", "Ada Lovelace"), (7002, "grace@shop.example", "Grace Hopper"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name, text in FILES.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return load_project(tmp_path / "project")


@pytest.fixture
def instance(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dg.DagsterInstance, dg.ExecuteInProcessResult]:
    """A run of all models of the project in a warehouse with two customers."""
    path = tmp_path / "rivo.duckdb"
    monkeypatch.setenv("RIVO_API_KEY", "a-key")
    monkeypatch.setenv("RIVO_WAREHOUSE", str(path))
    with Warehouse(path).build() as work:
        ensure_tables(work.connection)
        write_settings(work.connection, "UTC")
        work.connection.execute("insert into rivo_raw.sync_log (list, complete) values ('customers', true)")
        work.connection.executemany(
            "insert into rivo_raw.customers (id, email, first_name) values (?, ?, ?)", CUSTOMERS
        )
        work.publish()
    instance = dg.DagsterInstance.ephemeral()
    keys = [dg.AssetKey([node.schema, node.name]) for node in project.nodes.values()]
    result = dg.materialize([sync_assets(project)], selection=keys, instance=instance, raise_on_error=False)
    return instance, result


def test_dagster_log_holds_no_personal_data(
    instance: tuple[dg.DagsterInstance, dg.ExecuteInProcessResult], project: Project
) -> None:
    storage, result = instance
    assert not result.success
    log = "\n".join(
        str(record.event_log_entry) for record in storage.get_records_for_run(result.run_id).records
    )

    # All models and tests have run and are reported.
    checks: dict[str, Any] = {
        f"{check.asset_key.path[-1]}:{check.check_name}": check
        for check in result.get_asset_check_evaluations()
    }
    fails = checks["dim_fails:data_tests"]
    assert (fails.passed, fails.metadata["failures"].value) == (False, 6)
    assert "accepted_values_dim_fails_email: 2 failing rows" in str(fails.description)
    assert "accepted_values_dim_fails_first_name: 2 failing rows" in str(fails.description)
    assert "Readers keep the last published warehouse" in fails.metadata["next_step"].value
    warns = checks["dim_warns:data_tests"]
    assert (warns.passed, warns.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert warns.metadata["sample"].value["accepted_values_dim_warns_email"] == [
        {"customer_id": 7001},
        {"customer_id": 7002},
    ]
    for message in (
        "Could not convert string '…' to INT32",
        "models/marts/dim_raises.sql: not …",
        "models/marts/dim_python.py, line 2: ValueError: invalid literal for int() with base 10: '…'",
        "The test could not run: Could not convert string '…' to INT32",
        "customer_id 7001",
    ):
        assert message in log
    for _, email, name in CUSTOMERS:
        assert email not in log
        assert name not in log


def test_column_descriptions_name_the_origin(
    instance: tuple[dg.DagsterInstance, dg.ExecuteInProcessResult],
) -> None:
    _, result = instance
    event: Any = result.asset_materializations_for_node("sync")[0]
    assert event.asset_key == dg.AssetKey(["staging", "stg_customers"])
    schema = event.metadata["dagster/column_schema"].value
    assert [(c.name, c.description) for c in schema.columns][1] == (
        "email",
        "(from customers.email)",
    )

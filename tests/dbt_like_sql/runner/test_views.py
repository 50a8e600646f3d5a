"""Models that are views: made like tables, and their errors are explained."""

from __future__ import annotations

import duckdb
import pytest

from dbt_like_sql.runner import ProjectError, load_project
from dbt_like_sql.runner.sql import tables

from .building import rows, run, statuses
from .conftest import SHOP, Write

AS_TABLE = "models: [{name: stg_events, config: {materialized: table}}]"
AS_VIEW = "models: [{name: dim_member, description: All., config: {materialized: view}}]"


def test_staging_is_views_and_other_layers_are_tables_unless_told(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(SHOP | {"models/m.yml": AS_VIEW})
    results = run(connection, root)
    kinds = {
        name: kind
        for (schema, name), kind in tables(connection).items()
        if schema not in ("rivo_raw", "meta")
    }
    assert kinds == {
        "stg_customers": "view",
        "stg_events": "view",
        "dim_member": "view",
        "fct_event": "table",
        "rpt_total": "table",
    }
    assert {name: result.rows for name, result in results.items()} == {
        "stg_customers": None,
        "stg_events": None,
        "dim_member": None,
        "fct_event": 3,
        "rpt_total": 1,
    }
    assert rows(connection, "select comment from duckdb_views() where view_name = 'dim_member'") == [
        ("All.",)
    ]
    assert rows(
        connection,
        "select comment from duckdb_columns() where table_name = 'dim_member' and column_name = 'balance'",
    ) == [("Points held.",)]


def test_table_becomes_a_view_and_back(connection: duckdb.DuckDBPyConnection, write: Write) -> None:
    root = write(SHOP | {"models/m.yml": AS_TABLE})
    run(connection, root)
    assert tables(connection)["staging", "stg_events"] == "table"
    write({"models/m.yml": ""})
    found = statuses(run(connection, root))
    assert tables(connection)["staging", "stg_events"] == "view"
    assert (found["stg_events"], found["rpt_total"]) == ("success", "unchanged")
    write({"models/m.yml": AS_TABLE})
    run(connection, root)
    assert tables(connection)["staging", "stg_events"] == "table"


def test_view_that_cannot_be_computed_is_named_by_its_reader(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    broken = "select id as event_id, customer_id, (amount || 'x')::int as amount from rivo_raw.events"
    root = write(SHOP | {"models/staging/stg_events.sql": broken})
    results = run(connection, root)
    assert statuses(results)["stg_events"] == "success"
    assert results["fct_event"].message == (
        "models/marts/fct_event.sql reads staging.stg_events, and models/staging/stg_events.sql: "
        "Could not convert string '…' to INT32"
    )


def test_view_works_in_a_file_attached_under_another_name(
    connection: duckdb.DuckDBPyConnection, write: Write, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = write(SHOP | {"models/m.yml": AS_VIEW})
    run(connection, root)
    path = tmp_path_factory.mktemp("attached") / "rivo.duckdb"
    connection.execute(f"attach '{path}' as copy; copy from database working to copy; detach copy")
    with duckdb.connect() as other:
        # Schemas of the same names, as in a second warehouse, do not matter.
        other.execute(
            "create schema staging; create table staging.stg_customers as select 'wrong' as customer_id"
        )
        other.execute(f"attach '{path}' as shop (read_only)")
        expected = rows(connection, "from marts.dim_member order by all")
        assert rows(other, "from shop.marts.dim_member order by all") == expected


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"models/m.yml": "models: [{name: dim_member, config: {materialized: incremental}}]"},
            "models/m.yml, dim_member: materialized must be table or view, not 'incremental'.",
        ),
        (
            {
                "models/m.yml": "models: [{name: rpt_python, config: {materialized: view}}]",
                "models/reports/rpt_python.py": "def model(dim_member):\n    return dim_member\n",
            },
            "models/m.yml, rpt_python: a Python model cannot be a view. Remove materialized.",
        ),
    ],
)
def test_wrong_materialization_is_refused(write: Write, files: dict[str, str], message: str) -> None:
    with pytest.raises(ProjectError) as raised:
        load_project(write(SHOP | files))
    assert str(raised.value) == message

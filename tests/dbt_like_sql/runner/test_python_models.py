"""Python models: loaded without being run; built, tested, replaced and selected like SQL models."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.runner import Model, ProjectError, load_project
from dbt_like_sql.runner.impact import impact, path_back

from .building import rows, run, statuses
from .conftest import SHOP, Write

SURVIVAL = '''
"""Survival of members."""

import pandas as pd


def _rate(events: pd.Series) -> float:
    return float(events.count())


def model(dim_member: pd.DataFrame, fct_event: pd.DataFrame, rivo_raw__customers: pd.DataFrame) -> pd.DataFrame:
    joined = fct_event.merge(dim_member, on="customer_id")
    counts = joined.groupby("customer_id", as_index=False).agg(events=("event_id", _rate))
    return counts.assign(known=len(rivo_raw__customers))
'''
PROPERTIES = """
models:
  - name: rpt_survival
    description: One row per member who earned.
    config: {meta: {grain: [customer_id]}, tags: [python]}
    columns:
      - name: customer_id
        data_tests: [not_null, unique]
      - name: events
        description: Number of events.
        data_type: integer
      - name: known
        description: Customers known.
"""
PROJECT = SHOP | {
    "models/reports/rpt_survival.py": SURVIVAL,
    "models/reports/_reports.yml": PROPERTIES,
    "models/reports/rpt_top.sql": "select customer_id, events as most from reports.rpt_survival where events > 1",
}


def test_python_model_reads_the_tables_that_its_parameters_name(write: Write) -> None:
    project = load_project(write(PROJECT))
    survival = project.node("rpt_survival")
    assert isinstance(survival, Model)
    assert (survival.language, survival.description) == ("python", "One row per member who earned.")
    assert survival.depends_on == ("dim_member", "fct_event")
    assert survival.sources == ("rivo_raw.customers",)
    assert project.node("rpt_top").depends_on == ("rpt_survival",)
    # Its code is not analysed, so column lineage ends at its columns.
    assert [c.name for c in survival.columns] == ["customer_id", "events", "known"]
    assert {c.inputs for c in survival.columns} == {()}
    assert project.short_origins(project.node("rpt_top").columns[1]) == "rpt_survival.events"


def test_loading_a_project_runs_no_python_model(write: Write, tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    load_project(
        write(SHOP | {"models/reports/rpt_x.py": f"open({str(mark)!r}, 'w')\ndef model(dim_member): ..."})
    )
    assert not mark.exists()


def test_python_model_is_built_tested_and_documented(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    result = run(connection, write(PROJECT))["rpt_survival"]
    assert (result.status, result.rows) == ("success", 2)
    assert result.columns == (("customer_id", "INTEGER"), ("events", "INTEGER"), ("known", "BIGINT"))
    assert rows(connection, "from reports.rpt_survival order by 1") == [(1, 1, 3), (2, 2, 3)]
    assert rows(connection, "from reports.rpt_top") == [(2, 2)]
    assert [t.status for t in result.tests] == ["pass"] * 3
    assert rows(
        connection,
        "select comment from duckdb_columns() where table_name = 'rpt_survival' and column_index = 2",
    ) == [("Number of events.",)]


def test_python_model_is_selected_like_an_sql_model(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(PROJECT)
    assert list(run(connection, root, "+tag:python")) == [
        "stg_customers",
        "stg_events",
        "dim_member",
        "fct_event",
        "rpt_survival",
    ]
    assert list(run(connection, root, "models/reports/rpt_survival.py")) == ["rpt_survival"]


def test_python_model_that_fails_its_test_keeps_the_last_good_version(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(PROJECT)
    run(connection, root)
    write(
        {
            "models/reports/rpt_survival.py": SURVIVAL.replace(
                "return counts", "counts = pd.concat([counts] * 2)\n    return counts"
            )
        }
    )
    results = run(connection, root)
    assert statuses(results) | {"rpt_survival": "failed", "rpt_top": "skipped"} == statuses(results)
    assert "unique_rpt_survival_customer_id: 2 failing rows" in results["rpt_survival"].message
    assert rows(connection, "select count(*) from reports.rpt_survival") == [(2,)]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def model(dim_member):\n    return dim_member['bonus']\n",
            "models/reports/rpt_x.py, line 2: KeyError: 'bonus'",
        ),
        (
            "def first(t):\n    return int(t.email[0])\n\ndef model(dim_member):\n    return first(dim_member)\n",
            "models/reports/rpt_x.py, line 2: ValueError: invalid literal for int() with base 10: '…'",
        ),
        (
            "def model(dim_member):\n    return 3\n",
            "models/reports/rpt_x.py: `model` returned an int, but it must return a pandas DataFrame.",
        ),
        (
            "def model(dim_member):\n    dim_member.copy()\n",
            "models/reports/rpt_x.py: `model` returned nothing, but it must return a pandas DataFrame.",
        ),
        (
            "def model(dim_member):\n    return dim_member[[]]\n",
            "models/reports/rpt_x.py: `model` returned a DataFrame without columns. Return at least one column.",
        ),
        (
            "def model(dim_member):\n    return dim_member.rename(columns={'email': 'Balance'})\n",
            "models/reports/rpt_x.py: `model` returned several columns with the same name: Balance, balance. "
            "Names in SQL ignore case. Rename or drop one.",
        ),
        (
            "import lifelinez\n\ndef model(dim_member):\n    return dim_member\n",
            "models/reports/rpt_x.py, line 1: ModuleNotFoundError: No module named 'lifelinez'",
        ),
        (
            "import sys\n\ndef model(dim_member):\n    sys.exit('enough')\n",
            "models/reports/rpt_x.py, line 4: SystemExit: enough",
        ),
    ],
)
def test_error_in_the_function_is_reported_with_its_line(
    connection: duckdb.DuckDBPyConnection, write: Write, code: str, message: str
) -> None:
    results = run(connection, write(SHOP | {"models/reports/rpt_x.py": code}))
    assert (results["rpt_x"].status, results["rpt_x"].message) == ("error", message)
    assert results["rpt_total"].status == "success"


def test_value_that_does_not_fit_its_documented_type_is_an_error(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(
        SHOP
        | {
            "models/reports/rpt_x.py": "def model(dim_member):\n    return dim_member\n",
            "models/m.yml": "models: [{name: rpt_x, columns: [{name: email, data_type: integer}]}]",
        }
    )
    assert run(connection, root)["rpt_x"].message.startswith(
        "models/reports/rpt_x.py: Could not convert string '…' to INT32"
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def model(dim_member,\n          fct_evnt):\n    return 1\n",
            "models/marts/x.py, line 2: no model, seed or source is called fct_evnt. Did you mean fct_event?",
        ),
        (
            "def model(rpt_total):\n    return 1\n",
            "models/marts/x.py, line 1: marts.x reads reports.rpt_total, which is in a higher layer. "
            "A model can only read its own layer or a lower one (staging < intermediate < marts < reports).",
        ),
        (
            "def model(x):\n    return x\n",
            "These models form a cycle. Remove one of the references:\n"
            "  marts.x reads marts.x (models/marts/x.py, line 1).",
        ),
        (
            "def modle(dim_member):\n    return 1\n",
            "models/marts/x.py has no function `model`. Define one, for example `def model(dim_member)`. It "
            "receives the tables that its parameters name as DataFrames and returns a DataFrame.",
        ),
        (
            "def model(dbt, session):\n    return 1\n",
            "models/marts/x.py, line 1: dbt's `model(dbt, session)` is not supported. Use the tables as "
            "parameters: `def model(dim_member)` instead of dbt.ref('dim_member').",
        ),
        (
            "def model(*tables):\n    return 1\n",
            "models/marts/x.py, line 1: the parameters of `model` must be names of tables, without *, / or "
            "default values.",
        ),
        (
            "def model(dim_member)\n    return 1\n",
            "models/marts/x.py, line 1, column 22: this is not valid Python: expected ':'.",
        ),
    ],
)
def test_invalid_python_model_is_an_error_when_the_project_is_loaded(
    write: Write, code: str, message: str
) -> None:
    with pytest.raises(ProjectError) as error:
        load_project(write(SHOP | {"models/marts/x.py": code}))
    assert str(error.value) == message


def test_lineage_through_a_python_model_is_per_table(write: Write) -> None:
    project = load_project(write(PROJECT))
    found = impact(project, "rivo_raw.events.id")
    assert [str(c) for c in found.columns] == ["staging.stg_events.event_id", "marts.fct_event.event_id"]
    assert found.tables == ("reports.rpt_survival", "reports.rpt_top")
    back = path_back(project, "rpt_top.most")
    assert [str(step.origin) for step in back.steps] == ["reports.rpt_survival.events"]
    assert (
        back.steps[0].note == "computed in Python from marts.dim_member, marts.fct_event, rivo_raw.customers"
    )

"""Lineage back to the raw columns, and impact on everything that depends on a column."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbt_like_sql.runner import ProjectError, load_project
from dbt_like_sql.runner.impact import LineageStep, impact, path_back

from .conftest import SHOP, SOURCES, Write

FILES = SHOP | {
    "models/staging/_sources.yml": SOURCES
    + """
      - name: customers_history
        columns:
          - name: points
            config: {meta: {made_from: [rivo_raw.customers.points]}}
""",
    "models/staging/stg_history.sql": "select points as points_then from rivo_raw.customers_history",
    "models/marts/fct_rich.sql": """
        select event_id from staging.stg_events join staging.stg_customers using (customer_id) where points > 5
        """,
    "models/reports/rpt_rich.sql": "select count(*) as rich from marts.fct_rich",
    "seeds/rules.csv": "a\n1\n",
    "models/reports/rpt_rule.sql": "select a, 1 as one from seeds.rules where a > 0",
}


def tree(step: LineageStep) -> list[str]:
    lines = [f"{step.origin} {step.note}".strip()]
    return lines + ["  " + line for inner in step.steps for line in tree(inner)]


def test_path_back_traces_a_column_to_the_raw_tables(write: Write) -> None:
    project = load_project(write(FILES))
    assert tree(path_back(project, "rpt_total.balance")) == [
        "reports.rpt_total.balance",
        "  marts.dim_member.balance",
        "    staging.stg_events.amount",
        "      rivo_raw.events.amount",
    ]
    assert tree(path_back(project, "staging.stg_history.points_then")) == [
        "staging.stg_history.points_then",
        "  rivo_raw.customers_history.points",
        "    rivo_raw.customers.points",
    ]
    assert tree(path_back(project, "rpt_rule.a"))[1] == "  seeds.rules.a seed seeds/rules.csv"


def test_path_back_of_a_count_lists_the_columns_that_determine_its_rows(write: Write) -> None:
    project = load_project(write(FILES))
    assert tree(path_back(project, "rpt_rule.one")) == [
        "reports.rpt_rule.one a constant or a count; its rows are determined by",
        "  seeds.rules.a seed seeds/rules.csv",
    ]
    assert tree(path_back(project, "rpt_rich.rich")) == ["reports.rpt_rich.rich a constant or a count"]


def test_impact_lists_columns_and_tables_whose_rows_change(write: Write) -> None:
    project = load_project(write(FILES))
    found = impact(project, "rivo_raw.customers.points")
    assert [str(column) for column in found.columns] == [
        "rivo_raw.customers_history.points",
        "staging.stg_customers.points",
        "staging.stg_history.points_then",
    ]
    assert found.tables == ("marts.fct_rich", "reports.rpt_rich")

    whole = impact(project, "stg_events")
    assert {column.relation for column in whole.columns} == {
        "marts.dim_member",
        "marts.fct_event",
        "marts.fct_rich",
        "reports.rpt_total",
    }
    assert whole.tables == ("reports.rpt_rich",)
    nothing = impact(project, "rpt_total.members")
    assert (nothing.columns, nothing.tables) == ((), ())


def test_impact_finds_an_undescribed_column_that_a_model_reads(write: Write) -> None:
    project = load_project(
        write(SHOP | {"models/staging/stg_new.sql": "select novel from rivo_raw.customers"})
    )
    assert [str(c) for c in impact(project, "rivo_raw.customers.novel").columns] == ["staging.stg_new.novel"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "dim_membr.email",
            "No table or column is called dim_membr.email. Did you mean marts.dim_member.email?",
        ),
        ("dim_member.emial", "marts.dim_member has no column emial. Did you mean email?"),
        ("rivo_raw.customers.emial", "rivo_raw.customers has no column emial. Did you mean email?"),
        ("dim_membr", "No table is called dim_membr. Did you mean marts.dim_member?"),
    ],
)
def test_unknown_name_is_an_error_with_the_closest_name(shop: Path, name: str, message: str) -> None:
    project = load_project(shop)
    with pytest.raises(ProjectError) as error:
        impact(project, name)
    assert str(error.value) == message
    if "." in name:
        with pytest.raises(ProjectError) as error:
            path_back(project, name)
        assert str(error.value) == message


def test_path_back_of_a_table_is_an_error(shop: Path) -> None:
    with pytest.raises(ProjectError) as error:
        path_back(load_project(shop), "marts.dim_member")
    assert (
        str(error.value)
        == "marts.dim_member is a table, but lineage needs a column. For example: marts.dim_member.customer_id"
    )

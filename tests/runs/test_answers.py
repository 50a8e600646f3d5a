"""First rows of example queries: a page of a real shop shows aggregates alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.runner import Project, build, load_project
from runs.answers import answers, is_aggregate

FILES = {
    "models/_sources.yml": "sources: [{name: raw, tables: [{name: members, columns: [{name: id}, {name: note}]}]}]",
    "models/marts/dim_member.sql": "select id as customer_id, note from raw.members",
    "models/reports/rpt_days.sql": "select customer_id % 10 as day, count(*) as members "
    "from marts.dim_member group by all",
    "models/reports/rpt_gone.sql": "select 1 as a",
    "models/_all.yml": """
models:
  - name: dim_member
    config: {meta: {grain: [customer_id], example: "select customer_id, note from marts.dim_member order by all"}}
  - name: rpt_days
    config: {meta: {grain: [day], example: "select * from reports.rpt_days order by day"}}
  - name: rpt_gone
    config: {meta: {grain: [a], example: "select * from reports.rpt_gone"}}
""",
}
NUMBERS = {"n": "BIGINT"}
LEFT_OUT = [
    ("select customer_id, points_balance from marts.dim_member", {"customer_id": "BIGINT"}),
    # Rows about customers, without their ids.
    ("select points_balance as n from marts.dim_member", NUMBERS),
    ("with a as (select * from marts.dim_member) select points_balance as n from a", NUMBERS),
    ("select row_number() over () as n from marts.dim_member", NUMBERS),
    ("select credits_spent as n from staging.stg_rivo__points_redemptions", NUMBERS),
    ("select points_tally as n from rivo_raw.customers", NUMBERS),
    # Groups of one customer each.
    ("select sum(amount) as n from marts.fct_points_ledger group by customer_id", NUMBERS),
    ("select email, count(*) as n from marts.dim_member group by email", {"email": "VARCHAR"} | NUMBERS),
    (
        "select upper(email) as e, count(*) as n from marts.dim_member group by all",
        {"e": "VARCHAR"} | NUMBERS,
    ),
    ("select max(code) as c from marts.fct_redemption", {"c": "VARCHAR"}),
    # Free text, which may name a customer.
    (
        "select reason, count(*) as n from reports.rpt_manual_adjustments group by reason",
        {"reason": "VARCHAR"},
    ),
    ("select list(points_balance) as n from marts.dim_member", {"n": "BIGINT[]"}),
    ("select * from marts.no_such_table", {}),
]
SHOWN = [
    ("select count(*) as n from marts.dim_member", NUMBERS),
    (
        "select tier_name, count(*) as n from marts.dim_member group by tier_name",
        {"tier_name": "VARCHAR"} | NUMBERS,
    ),
    ("select month, points_issued as n from reports.rpt_program_monthly", {"month": "DATE"} | NUMBERS),
    (
        "select reward_name, claims as n from reports.rpt_reward_performance",
        {"reward_name": "VARCHAR"} | NUMBERS,
    ),
    ("select class from seeds.entry_class_rules", {}),
]


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Project, duckdb.DuckDBPyConnection]]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    project = load_project(tmp_path)
    with duckdb.connect() as connection:
        connection.execute(
            "create schema raw; create table raw.members as select range as id, 'a@x.org' as note from range(20)"
        )
        list(build(connection, project))
        connection.execute("drop table reports.rpt_gone")
        yield project, connection


@pytest.mark.parametrize(("sql", "columns"), LEFT_OUT)
def test_query_about_single_customers_is_no_aggregate(
    project: Project, sql: str, columns: dict[str, str]
) -> None:
    assert not is_aggregate(project, sql, columns)


@pytest.mark.parametrize(("sql", "columns"), SHOWN)
def test_query_about_groups_is_an_aggregate(project: Project, sql: str, columns: dict[str, str]) -> None:
    assert is_aggregate(project, sql, columns)


def test_answers_of_a_demo_are_the_first_rows(small: tuple[Project, duckdb.DuckDBPyConnection]) -> None:
    found = answers(*small, is_simulated=True)

    member = found["marts.dim_member"]
    assert (member.columns, member.is_all) == (("customer_id", "note"), False)
    assert member.rows == tuple((number, "a@x.org") for number in range(8))
    assert found["reports.rpt_days"].rows[0] == (0, 2)
    # The table does not exist.
    assert "reports.rpt_gone" not in found


def test_answers_of_a_shop_are_aggregates_alone(small: tuple[Project, duckdb.DuckDBPyConnection]) -> None:
    found = answers(*small, is_simulated=False)

    assert (found["marts.dim_member"].columns, found["marts.dim_member"].rows) == ((), ())
    assert "leaves them out" in found["marts.dim_member"].note
    assert len(found["reports.rpt_days"].rows) == 8


def test_answers_of_a_shop_never_have_an_address(small: tuple[Project, duckdb.DuckDBPyConnection]) -> None:
    project, connection = small
    connection.execute("create or replace table reports.rpt_days as select 'a@x.org' as day, 1 as members")
    node = project.node("rpt_days")
    node.meta["example"] = "select members, 'b@x.org' as day from reports.rpt_days"  # type: ignore[index]

    assert answers(project, connection, is_simulated=False)["reports.rpt_days"].rows == ()

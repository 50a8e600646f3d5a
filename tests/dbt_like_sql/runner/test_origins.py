"""Origins of columns, shortened for people: what Dagster and `rivo models show` say."""

from __future__ import annotations

from dbt_like_sql.runner import load_project

from .conftest import SHOP, Write


def test_short_origins_are_three_columns_or_else_their_tables(write: Write) -> None:
    sql = """
        select
            c.email,
            concat(c.id, c.email, e.amount) as three,
            concat(c.id, c.email, c.points, e.id, e.amount) as five,
            1 as one
        from rivo_raw.customers as c, rivo_raw.events as e
        """
    project = load_project(write(SHOP | {"models/marts/fct_all.sql": sql}))

    assert [project.short_origins(column) for column in project.node("fct_all").columns] == [
        "customers.email",
        "customers.email, customers.id, events.amount",
        "customers, events",
        "",
    ]


def test_short_origins_leave_out_those_of_the_clock(write: Write) -> None:
    files = {
        "models/marts/dim_clock.sql": "select max(amount) as now from rivo_raw.events",
        "models/marts/fct_all.sql": "select now, concat(now, c.email) as mixed "
        "from rivo_raw.customers as c, marts.dim_clock",
        "models/c.yml": "models: [{name: dim_clock, config: {meta: {is_clock: true}}}]",
    }
    project = load_project(write(SHOP | files))

    assert [project.described(column) for column in project.node("fct_all").columns] == [
        "",
        "(from customers.email)",
    ]

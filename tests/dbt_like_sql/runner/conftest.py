"""Fixtures: small projects and real DuckDB files for the runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import duckdb
import pytest

Write = Callable[[dict[str, str]], Path]

SOURCES = """
sources:
  - name: rivo_raw
    tables:
      - name: customers
        description: The customers.
        columns:
          - {name: id, data_type: bigint, description: "Rivo's id."}
          - {name: email, data_type: varchar}
          - {name: points, data_type: bigint}
      - name: events
        columns: [{name: id}, {name: customer_id}, {name: amount}]
"""

SHOP = {
    "models/staging/_sources.yml": SOURCES,
    "models/staging/stg_customers.sql": "select id as customer_id, email, points from rivo_raw.customers\n",
    "models/staging/stg_events.sql": "select id as event_id, customer_id, amount from rivo_raw.events\n",
    "models/marts/dim_member.sql": """
        with members as (select * from staging.stg_customers),

        ledger as (
            select customer_id, sum(amount) as balance
            from staging.stg_events
            group by customer_id
        ),

        final as (
            select members.customer_id, members.email, coalesce(ledger.balance, 0) as balance
            from members
            left join ledger using (customer_id)
        )

        select * from final
        """,
    "models/marts/fct_event.sql": "select event_id, customer_id, amount from staging.stg_events\n",
    "models/reports/rpt_total.sql": "select count(*) as members, sum(balance) as balance from marts.dim_member\n",
    "models/column_descriptions.yml": """
        customer_id: The member.
        event_id: The event.
        balance: Points held.
        amount: Points moved.
        email: The address.
        members: Number of members.
        """,
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Function that writes files of a project and returns its folder."""

    def write(files: dict[str, str]) -> Path:
        root = tmp_path / "project"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return root

    return write


@pytest.fixture
def shop(write: Write) -> Path:
    """Project with two staging models, two marts and a report."""
    return write(SHOP)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connection to a file with the raw tables that the `shop` project reads."""
    with duckdb.connect(str(tmp_path / "working.duckdb")) as connection:
        connection.execute(
            """
            create schema rivo_raw;
            create table rivo_raw.customers as
            select * from (values (1, 'a@x.org', 10), (2, 'b@x.org', 20), (3, 'c@x.org', 0)) as t(id, email, points);
            create table rivo_raw.events as
            select * from (values (1, 1, 10), (2, 2, 15), (3, 2, 5)) as t(id, customer_id, amount);
            """
        )
        yield connection

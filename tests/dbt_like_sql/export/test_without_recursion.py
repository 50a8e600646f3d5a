"""The models written without recursion return the rows of those that the warehouse has."""

from __future__ import annotations

from random import Random

import duckdb
import pytest

from dbt_like_sql.export.sql_files import WITHOUT_RECURSION
from tests.harness.store import project

ROUNDS = 5
"""Number of times that points may come back and be spent again before their basis is unknown."""

TABLES = """
create schema intermediate;
create table intermediate.int_ledger_entries (
    event_id bigint, unit varchar, leg varchar, customer_id bigint, redemption_id bigint, entry_at timestamptz,
    is_counted boolean, amount decimal(18, 4), entry_class varchar, earn_basis varchar
);
create table intermediate.int_points_allocations (
    lot_event_id bigint, lot_leg varchar, unit varchar, debit_event_id bigint, kind varchar, amount decimal(18, 4)
);
"""


def entry(
    connection: duckdb.DuckDBPyConnection,
    id: int,
    redemption: int | None,
    amount: int,
    kind: str,
    basis: str | None,
) -> None:
    connection.execute(
        "insert into intermediate.int_ledger_entries values (?, 'points', 'original', 1, ?, "
        "timestamptz '2026-01-01 00:00:00+00' + ? * interval 1 hour, true, ?, ?, ?)",
        [id, redemption, id, amount, kind, basis],
    )


def taken(connection: duckdb.DuckDBPyConnection, lot: int, debit: int, amount: int) -> None:
    connection.execute(
        "insert into intermediate.int_points_allocations values (?, 'original', 'points', ?, 'redeemed', ?)",
        [lot, debit, amount],
    )


def chain(connection: duckdb.DuckDBPyConnection, times: int, random: Random) -> None:
    """Spend points of two lots, give them back, and spend those, again and again."""
    entry(connection, 1, None, 60, "issue_purchase", "purchase")
    entry(connection, 2, None, 40, "issue_action", "non_purchase")
    lots = [1, 2]
    for number in range(times):
        debit, back = 10 + 2 * number, 11 + 2 * number
        entry(connection, debit, number, -50, "redeem", None)
        for lot in lots:
            taken(connection, lot, debit, random.choice([10, 20, 25, 30]))
        entry(connection, back, number, 50, "redeem_return", None)
        lots = [back, *random.sample([1, 2, *range(11, back, 2)], k=min(2, 1 + number))]


def results(times: int, seed: int) -> tuple[list, list]:
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        chain(connection, times, Random(seed))
        shipped = project().node("int_returned_lots")
        ours = connection.execute(f"select * from ({shipped.code}) order by all").fetchall()  # type: ignore[union-attr]
        portable = (WITHOUT_RECURSION / "int_returned_lots.sql").read_text()
        return ours, connection.execute(f"select * from ({portable}) order by all").fetchall()


@pytest.mark.parametrize("times", range(1, ROUNDS))
@pytest.mark.parametrize("seed", range(4))
def test_returned_lots_are_those_of_the_recursive_model(times: int, seed: int) -> None:
    ours, portable = results(times, seed)
    assert len(ours) == times
    assert portable == ours


@pytest.mark.parametrize("seed", range(4))
def test_returned_lots_of_a_longer_chain_are_right_or_unknown(seed: int) -> None:
    ours, portable = results(12, seed)
    assert [row[:3] for row in portable] == [row[:3] for row in ours]
    assert all(row[3] in (right[3], None) for row, right in zip(portable, ours, strict=True))

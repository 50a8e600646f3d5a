"""Moves of a crowd are structural; those of a few members are not, in small and in young shops too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from dbt_like_sql.runner import Model
from tests.harness.store import project

FIRST = datetime(2026, 3, 1, 6, tzinfo=UTC)


def structural(members: int, moves: list[int]) -> list[bool]:
    """Return whether the moves of each observation after the first are structural, for those that have moves."""
    node = project().node("fct_tier_change")
    assert isinstance(node, Model)
    instants = [FIRST + timedelta(days=number) for number in range(len(moves) + 1)]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; create schema intermediate; create schema staging")
        connection.execute(
            "create table intermediate.int_clock as select 'UTC' as timezone; "
            "create table intermediate.int_observations (observed_at timestamptz); "
            "create table intermediate.int_tier_spells as select 'tier' as state_kind, "
            f"'{FIRST}'::timestamptz as entered_at, null::timestamptz as exited_at from range({members}); "
            "create table staging.stg_rivo__vip_tiers_history as select 1 as tier_id, 100 as threshold, "
            f"'{FIRST}'::timestamptz as valid_from, null::timestamptz as valid_to; "
            f"create table staging.stg_rivo__sync_log as select '{FIRST}'::timestamptz as observed_at, "
            "'vip_tiers' as list_name, true as is_complete; "
            "create table intermediate.int_tier_moves (customer_id int, from_tier_id int, to_tier_id int, "
            "from_state text, to_state text, changed_after timestamptz, changed_by timestamptz, change_date date, "
            "direction text, days_in_previous int, announced_at timestamptz)"
        )
        connection.executemany(
            "insert into intermediate.int_observations values (?)", [[i] for i in instants]
        )
        for instant, number in zip(instants[1:], moves, strict=True):
            connection.execute(
                "insert into intermediate.int_tier_moves (customer_id, changed_by, change_date) "
                f"select range, '{instant}', '{instant.date()}' from range({number})"
            )
        rows = connection.execute(
            "select changed_by, bool_and(is_structural), bool_or(is_structural) "
            f"from ({node.code}) group by 1 order by 1"
        ).fetchall()
    assert all(every == some for _, every, some in rows)
    return [every for _, every, _ in rows]


@pytest.mark.parametrize(
    ("members", "moves", "expected"),
    [
        (27, [0, 0, 0, 0, 0, 0, 1], [False]),  # more than 5 x the median and 2 %, but one member
        (27, [0, 0, 0, 0, 0, 0, 4], [False]),
        (27, [0, 0, 0, 0, 0, 0, 5], [True]),
        (312, [60], [True]),  # at the second sync, where no number is usual yet
        (312, [31], [False]),
        (312, [32], [True]),
        (40, [4], [False]),
        (1000, [2, 2, 2, 2, 20], [False] * 4 + [False]),  # 2 % of the members, not more
        (1000, [2, 2, 2, 2, 21], [False] * 4 + [True]),
        (1000, [9, 9, 9, 9, 44], [False] * 5),  # 4.9 x the median
    ],
)
def test_crowd_of_moves_is_structural(members: int, moves: list[int], expected: list[bool]) -> None:
    assert structural(members, moves) == expected

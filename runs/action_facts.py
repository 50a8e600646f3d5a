"""What the warehouse knows for a plan: the members, what points and rewards cost, ids of addresses, known ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import duckdb

from pipelines.actions.parameters import ActionRow
from pipelines.actions.plan import Member
from pipelines.warehouse import RAW

_COST_PER_POINT = """
select sum(redemption_value) / nullif(sum(points_spent), 0)
from marts.fct_redemption
where redemption_value is not null
    and points_spent > 0
    and status not in ('refunded', 'revoked')
    and claimed_at > (select observed_at from intermediate.int_clock) - interval 365 day
"""
"""What a redeemed point cost over the last 365 days, in the shop's currency."""

_REWARDS = """
select
    rewards.reward_id,
    rewards.points_type = 'fixed' or coalesce(rewards.points_amount, 0) = 0 as is_fixed,
    rewards.points_amount as price,
    case types.value_basis
        when 'assumed' then types.assumed_value
        when 'reward_value' then rewards.reward_value
    end as reward_value,
    coalesce(types.value_basis = 'assumed', false) as is_assumed
from staging.stg_rivo__rewards as rewards
left join seeds.reward_type_values as types on types.reward_type = rewards.reward_type
"""


def members(connection: duckdb.DuckDBPyConnection, ids: Iterable[int]) -> dict[int, Member]:
    """Return the customers that the warehouse knows, by id, with Rivo's balance as of the last sync."""
    rows = _rows(
        connection,
        "select customer_id, loyalty_status, points_tally, credits_tally, is_deleted from staging.stg_rivo__customers "
        "where list_contains(?, customer_id)",
        [list(ids)],
    )
    return {
        id: Member(status, points, credits, bool(is_deleted))
        for id, status, points, credits, is_deleted in rows
    }


def addresses(connection: duckdb.DuckDBPyConnection, ids: Iterable[int]) -> dict[int, str]:
    """Return the e-mail addresses of customers, as the warehouse has them, by id."""
    rows = _rows(
        connection,
        "select customer_id, email from staging.stg_rivo__customers "
        "where list_contains(?, customer_id) and email <> ''",
        [list(ids)],
    )
    return dict(rows)


def ids_of_addresses(connection: duckdb.DuckDBPyConnection, addresses: Iterable[str]) -> dict[str, int]:
    """Return the customers with these e-mail addresses in lower case, where the warehouse knows exactly one."""
    rows = _rows(
        connection,
        "select lower(email), min(customer_id) from staging.stg_rivo__customers "
        "where not is_deleted and list_contains(?, lower(email)) group by lower(email) having count(*) = 1",
        [list(addresses)],
    )
    return dict(rows)


def largest_ids(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the largest known id of each list in which an action can be read back."""
    found = {}
    for name in ("points_events", "points_redemptions", "referrals"):
        rows = _rows(connection, f"select max(id) from {RAW}.{name}", [])
        found[name] = (rows[0][0] if rows else None) or 0
    return found


def values(connection: duckdb.DuckDBPyConnection) -> Callable[[ActionRow], Decimal | None]:
    """Return a function that estimates what an action costs in the shop's currency; None if it is unknown.

    Points cost what a redeemed point cost on average over the last 365 days; store credits cost their amount; a reward
    costs its value.
    """
    rows = _rows(connection, _COST_PER_POINT, [])
    per_point = Decimal(str(rows[0][0])) if rows and rows[0][0] is not None else None
    rewards = {row[0]: row[1:] for row in _rows(connection, _REWARDS, [])}

    def value(action: ActionRow) -> Decimal | None:
        if action.kind == "add_points":
            if action.points and per_point is None:
                return None
            return (action.points * (per_point or Decimal(0)) + action.credits).quantize(Decimal("0.01"))
        if action.kind == "redeem_reward":
            return _reward_value(rewards, action)
        return Decimal(0)

    return value


def _reward_value(rewards: Mapping[int, tuple[Any, ...]], action: ActionRow) -> Decimal | None:
    is_fixed, price, reward_value, is_assumed = rewards.get(
        action.parameters["reward_id"], (True, 0, None, False)
    )
    if reward_value is None:
        return None
    spent = action.points or action.credits
    if is_fixed or is_assumed or not spent:
        return Decimal(reward_value).quantize(Decimal("0.01"))
    return (Decimal(reward_value) * spent / price).quantize(Decimal("0.01"))


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any]) -> list[Any]:
    """Return the rows of a query; none if the models were not built yet."""
    try:
        return connection.execute(sql, parameters).fetchall()
    except duckdb.CatalogException:
        return []

"""Tier moves, the migration matrix and the distribution, worked out naively from the observations."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tests.dbt_like_sql.models.facts import NOT_MEMBER, Period, State, World
from tests.dbt_like_sql.models.judge_ledger import entries

Cell = tuple[str, date, str, int | None, str, int | None]


def changes(world: World) -> dict[tuple[int, Any], dict[str, Any]]:
    """`fct_tier_change` by customer and `changed_by`: customers seen in two consecutive states."""
    found = {}
    # Those who were there when history began may have been in their state for long.
    since: dict[int, Any] = dict.fromkeys(world.states_at(world.beginning))
    for earlier, later in pairwise(world.observations):
        before, after = world.states_at(earlier.at), world.states_at(later.at)
        since |= dict.fromkeys(after.keys() - before.keys(), later.at)
        for id in sorted(before.keys() & after.keys()):
            if before[id] == after[id]:
                continue
            entered = since[id]
            found[id, later.at] = {
                "from_tier_id": before[id].tier_id,
                "to_tier_id": after[id].tier_id,
                "from_state": world.state_name(before[id]),
                "to_state": world.state_name(after[id]),
                "changed_after": earlier.at,
                "change_date": world.day(later.at),
                "direction": world.direction(before[id], after[id], later.at),
                "days_in_previous": None
                if entered is None
                else (world.day(later.at) - world.day(entered)).days,
            }
            since[id] = later.at
    return found


def migration(world: World) -> dict[Cell, dict[str, Any]]:
    """`rpt_tier_migration` by period, start, and the two states with their tier ids."""
    found: dict[Cell, dict[str, Any]] = {}
    for period in world.periods():
        before, after = world.states_at(period.starts_at), world.states_at(period.ends_at)
        starters = Counter(before.values())
        moves = Counter((before.get(id), after.get(id)) for id in before.keys() | after.keys())
        for (origin, goal), count in moves.items():
            from_state = "(joined)" if origin is None else world.state_name(origin)
            to_state = "(left)" if goal is None else world.state_name(goal)
            key = (
                period.kind,
                period.first_day,
                from_state,
                origin.tier_id if origin else None,
                to_state,
                goal.tier_id if goal else None,
            )
            found[key] = {
                "period_end": period.last_day,
                "members": count,
                "from_members": None if origin is None else starters[origin],
                "share": None if origin is None else count / starters[origin],
                "direction": _direction(world, period, origin, goal),
                "is_complete": period.is_complete,
            }
    return found


def _direction(world: World, period: Period, origin: State | None, goal: State | None) -> str:
    if origin is None:
        return "enter"
    if goal is None:
        return "leave"
    return "unchanged" if origin == goal else world.direction(origin, goal, period.ends_at)


def distribution(world: World) -> dict[tuple[date, str, int | None], dict[str, Any]]:
    """`rpt_tier_distribution` by local day and state: the state and the balances at the end of the day."""
    points = [entry for entry in entries(world) if entry.unit == "points"]
    found = {}
    for day in world.days():
        end = world.midnight(day + timedelta(days=1))
        states = world.states_at(end)
        balances: Counter[int] = Counter()
        for entry in points:
            if entry.at < end:
                balances[entry.event.customer_id] += int(entry.amount)
        for state in set(states.values()):
            ids = [id for id, held in states.items() if held == state]
            outstanding = sum(balances[id] for id in ids)
            found[day, world.state_name(state), state.tier_id] = {
                "members": len(ids),
                "share": len(ids) / len(states),
                "points_outstanding": outstanding,
                "avg_balance": float(Decimal(outstanding) / len(ids)),
            }
    return found


def movement(world: World) -> dict[tuple[date, int | None], dict[str, Any]]:
    """`rpt_tier_movement` by month and tier, None for no tier."""
    found: dict[tuple[date, int | None], dict[str, Any]] = {}
    for period in world.periods():
        if period.kind != "month":
            continue
        before, after = world.states_at(period.starts_at), world.states_at(period.ends_at)
        for state in {*before.values(), *after.values()} - {NOT_MEMBER}:
            stayed = [id for id in before.keys() & after.keys() if before[id] == after[id] == state]
            out = [
                "leave" if id not in after else world.direction(state, after[id], period.ends_at)
                for id in before
                if before[id] == state and id not in stayed
            ]
            into = [
                "enter" if id not in before else world.direction(before[id], state, period.ends_at)
                for id in after
                if after[id] == state and id not in stayed
            ]
            start = len(stayed) + len(out)
            ladder = world.thresholds_on(
                next(s for s in reversed(world.observations) if s.at <= period.ends_at)
            )
            threshold = -1 if state.tier_id is None else world.thresholds_at(period.ends_at)[state.tier_id]
            may_rise = start and any(value > threshold for value in ladder.values())
            may_fall = start and state.tier_id is not None
            found[period.first_day, state.tier_id] = {
                "start_members": start,
                "upgraded_in": into.count("upgrade"),
                "downgraded_in": into.count("downgrade"),
                "entered": into.count("enter"),
                "upgraded_out": out.count("upgrade"),
                "downgraded_out": out.count("downgrade"),
                "left_out": out.count("leave"),
                "end_members": len(stayed) + len(into),
                "upgrade_rate": out.count("upgrade") / start if may_rise else None,
                "downgrade_rate": out.count("downgrade") / start if may_fall else None,
                "retention_rate_same": len(stayed) / start if start else None,
                "retention_rate_same_or_higher": (
                    (len(stayed) + out.count("upgrade") + out.count("lateral")) / start if start else None
                ),
            }
    return found

"""Tiers at risk, and the migration before the first sync, worked out naively day by day from the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from tests.dbt_like_sql.models.facts import World, month_of, months_later
from tests.dbt_like_sql.models.judge_members import (
    DATED_MEASURES,
    Earning,
    Rows,
    dated_progress,
    joined,
    tier_earnings,
    tier_progress,
)

LATER = (30, 60, 90)


def at_risk(world: World, measure: str) -> Rows:
    """`rpt_tier_at_risk` by customer and horizon, if this is the measure."""
    if measure not in DATED_MEASURES or "lifetime" in measure:
        return {}
    earnings, today = tier_earnings(world), world.day(world.now)
    held = {id: row for (id, name), row in tier_progress(world).items() if name == measure and row["tier_id"]}
    found = {}
    for days in LATER:
        day = today + timedelta(days=days)
        then = dated_progress(earnings, measure, day, known_on=today)
        for id, row in held.items():
            missing = max(Decimal(), row["held_threshold"] - then[id])
            found[id, days] = {
                "tier_id": row["tier_id"],
                "measure": measure,
                "horizon_date": day,
                "progress_now": row["progress"],
                "progress_then": then[id],
                "threshold_held": row["held_threshold"],
                "points_to_keep": missing,
                "is_at_risk": missing > 0,
            }
    return found


def _members(world: World) -> dict[int, date]:
    """Return the day of joining of each current member, where it is known."""
    days = {id: world.day(at) for id, at in joined(world).items()}
    return {
        id: days[id]
        for id, state in world.states_at(world.now).items()
        if state.kind != "not_member" and id in days
    }


def _tiers_on(
    world: World, earnings: dict[str, list[Earning]], members: dict[int, date], measure: str, day: date
) -> dict[int, int | None]:
    """Return the tier that each member reaches at the end of a day, of those who had joined by then."""
    progress = dated_progress(earnings, measure, day, known_on=day)
    ladder = [
        (Decimal(str(threshold)), -id)
        for id, threshold in world.thresholds_on(world.observations[-1]).items()
    ]
    found = {}
    for id, since in members.items():
        if since <= day:
            reached = max((tier for tier in ladder if tier[0] <= progress[id]), default=None)
            found[id] = None if reached is None else -reached[1]
    return found


def _months(world: World, earnings: dict[str, list[Earning]], measure: str) -> Iterator[date]:
    """Yield the whole months after the first entry that counts, and before the first sync."""
    kind, _, counts_manual = DATED_MEASURES[measure]
    first = min(e.counts_from for e in earnings[kind] if counts_manual or not e.is_manual)
    month = months_later(month_of(first), 1)
    while months_later(month, 1) <= world.day(world.beginning):
        yield month
        month = months_later(month, 1)


def inferred_migration(world: World, measure: str) -> Rows:
    """`rpt_tier_migration_inferred` by month and the two states with their tier ids, if this is the measure."""
    if measure not in DATED_MEASURES:
        return {}
    rows = [row for (_, name), row in tier_progress(world).items() if name == measure]
    agreement = sum(row["agrees"] for row in rows) / len(rows)
    thresholds = world.thresholds_at(world.now)
    earnings, people = tier_earnings(world), _members(world)
    found: Rows = {}
    for month in _months(world, earnings, measure):
        last_day = months_later(month, 1) - timedelta(days=1)
        before = _tiers_on(world, earnings, people, measure, month - timedelta(days=1))
        after = _tiers_on(world, earnings, people, measure, last_day)
        starters = Counter(before.values())
        moves = Counter((id in before, before.get(id), after[id]) for id in after)
        for (was_there, origin, goal), count in moves.items():
            low, high = (-1 if id is None else thresholds[id] for id in (origin, goal))
            move = "unchanged" if low == high else "upgrade" if low < high else "downgrade"
            key = (month, _name(world, origin) if was_there else "(joined)", origin, _name(world, goal), goal)
            found[key] = {
                "period_type": "month",
                "period_end": last_day,
                "members": count,
                "from_members": starters[origin] if was_there else None,
                "share": count / starters[origin] if was_there else None,
                "direction": move if was_there else "enter",
                "structural_members": None,
                "is_complete": True,
                "basis": "inferred",
                "agreement_share": agreement,
            }
    return found


def _name(world: World, tier_id: int | None) -> str:
    if tier_id is None:
        return "no_tier"
    tiers = [row for seen in world.observations for row in seen.lists["vip_tiers"]]
    return str({row["id"]: row["attributes"]["name"] for row in tiers}[tier_id])

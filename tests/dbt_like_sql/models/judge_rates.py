"""The redemption rates of a period and a segment, worked out naively."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from tests.dbt_like_sql.models.facts import NOT_MEMBER, Code, Period, World
from tests.dbt_like_sql.models.judge_ledger import ISSUES, REDEEMS, Entry, entries, status_of

Key = tuple[str, date, str, int | None]
Belongs = Callable[[int], bool]


def rates(world: World) -> dict[Key, dict[str, Any]]:
    """`rpt_redemption_rates` by period, start and segment."""
    ledger = [entry for entry in entries(world) if entry.unit == "points"]
    found: dict[Key, dict[str, Any]] = {}
    for period in world.periods():
        if period.kind == "to_date":
            continue
        held = world.states_at(period.starts_at)
        found[period.kind, period.first_day, "all", None] = _row(world, ledger, period, lambda _id: True)
        for segment in set(held.values()):
            ids = {id for id, state in held.items() if state == segment}
            key = (period.kind, period.first_day, world.state_name(segment), segment.tier_id)
            found[key] = _row(world, ledger, period, ids.__contains__)
    return found


def _row(world: World, ledger: list[Entry], period: Period, belongs: Belongs) -> dict[str, Any]:
    mine = [entry for entry in ledger if belongs(entry.event.customer_id)]
    before_end = [entry for entry in mine if world.day(entry.at) <= period.last_day]
    inside = [entry for entry in before_end if world.day(entry.at) >= period.first_day]
    codes = [
        code
        for code in world.codes
        if belongs(code.customer_id) and period.first_day <= world.day(code.claimed_at) <= period.last_day
    ]
    end = world.states_at(period.ends_at)
    members = {id for id, state in end.items() if state != NOT_MEMBER and belongs(id)}
    redeeming = {code.customer_id for code in codes if code.stands} & members
    return {
        "period_end": period.last_day,
        "is_complete": period.is_complete,
        **_ratio("points_redeemed_net", "points_issued_net", "points_burn_ratio", *_burned(inside)),
        **_ratio("redeeming_members", "members_end", "member_redemption_rate", len(redeeming), len(members)),
        **_ratio(
            "points_redeemed_lifetime",
            "points_issued_lifetime",
            "points_burn_ratio_lifetime",
            *_burned(before_end),
        ),
        **_capped(inside),
        **_used(world, period, codes),
    }


def _ratio(above: str, below: str, name: str, numerator: Any, denominator: Any) -> dict[str, Any]:
    value = float(Decimal(numerator) / Decimal(denominator)) if denominator else None
    return {above: numerator, below: denominator, name: value}


def _burned(ledger: list[Entry]) -> tuple[int, int]:
    redeemed = -sum(int(entry.amount) for entry in ledger if entry.entry_class in REDEEMS)
    issued = sum(int(entry.amount) for entry in ledger if entry.entry_class in ISSUES)
    return redeemed, issued


def _used(world: World, period: Period, codes: list[Code]) -> dict[str, Any]:
    """Return the shares of codes used and open; the first is None until 90 days have passed."""
    row = _ratio(
        "codes_used",
        "codes_claimed",
        "reward_use_rate",
        sum(code.used_at is not None for code in codes),
        len(codes),
    )
    if (world.day(world.now) - period.last_day).days <= 90:
        row["reward_use_rate"] = None
    still_open = sum(status_of(code, world) == "open" for code in codes)
    return row | _ratio("codes_open", "codes_claimed", "open_share", still_open, len(codes))


def _capped(inside: list[Entry]) -> dict[str, Any]:
    """Return the mean of min(1, redeemed / earned) over the members who earned anything."""
    by_customer: dict[int, list[Entry]] = defaultdict(list)
    for entry in inside:
        by_customer[entry.event.customer_id].append(entry)
    shares = []
    for mine in by_customer.values():
        redeemed, issued = _burned(mine)
        if issued > 0:
            shares.append(min(1.0, max(0, redeemed) / issued))
    return {
        "earning_members": len(shares),
        "avg_member_redemption_rate_capped": sum(shares) / len(shares) if shares else None,
    }

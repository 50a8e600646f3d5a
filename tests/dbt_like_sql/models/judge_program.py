"""Spending, segments and the months of a programme, worked out naively from the store's answers."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.dbt_like_sql.models.facts import NOT_MEMBER, World, month_of, months_later
from tests.dbt_like_sql.models.judge_ledger import ISSUES, REDEEMS, Entry, entries, redemptions
from tests.dbt_like_sql.models.judge_points import program_daily

Rows = dict[Any, dict[str, Any]]


def spending(world: World) -> Rows:
    """`fct_spending` by customer and observation."""
    last: dict[int, tuple[datetime, int, Decimal]] = {}
    found: Rows = {}
    for seen in world.observations:
        for row in seen.lists["customers"]:
            attrs = row["attributes"]
            totals = (attrs["orders_count"] or 0, Decimal(str(attrs["total_spent"] or 0)))
            if row["id"] in last and last[row["id"]][1:] != totals:
                after, orders, spent = last[row["id"]]
                found[row["id"], seen.at] = {
                    "observed_after": after,
                    "local_day": world.day(seen.at),
                    "orders": totals[0] - orders,
                    "spent": totals[1] - spent,
                }
            last[row["id"]] = (seen.at, *totals)
    return found


def segments(world: World) -> Rows:
    """`rpt_segment_performance` by month, comparison, segment and tier."""
    bought = spending(world)
    found: Rows = {}
    for period in world.periods():
        if period.kind != "month":
            continue
        placed: dict[tuple[str, str, int | None], set[int]] = defaultdict(set)
        for id, state in world.states_at(period.starts_at).items():
            if state == NOT_MEMBER:
                placed["membership", "not_member", None].add(id)
                continue
            placed["membership", "member", None].add(id)
            placed["tier", world.state_name(state), state.tier_id].add(id)
            since = months_later(period.first_day, -12)
            claimed = any(
                code.customer_id == id and since <= world.day(code.claimed_at) < period.first_day
                for code in world.codes
            )
            placed["redeemer", "redeemer" if claimed else "not_redeemer", None].add(id)
        for (comparison, segment, tier), ids in placed.items():
            orders: dict[int, int] = defaultdict(int)
            spent = Decimal()
            for (id, _), row in bought.items():
                if id in ids and period.first_day <= row["local_day"] <= period.last_day:
                    orders[id] += row["orders"]
                    spent += row["spent"]
            buyers, total = sum(number > 0 for number in orders.values()), sum(orders.values())
            found[period.first_day, comparison, segment, tier] = {
                "customers": len(ids),
                "buyers": buyers,
                "orders": total,
                "spent": spent,
                "spent_unknown": 0,
                "aov": float(spent / total) if total else None,
                "orders_per_buyer": total / buyers if buyers else None,
                "spent_per_customer": float(spent / len(ids)),
                "buyer_share": buyers / len(ids),
                "is_complete": period.is_complete,
            }
    return found


COMPARED = (
    *("members_end", "active_rate_90d", "points_issued", "points_redeemed", "points_outstanding"),
    *("points_burn_ratio", "value_used"),
)


def months(world: World) -> Rows:
    """`rpt_program_monthly` by month."""
    days = {day: row for (day, unit), row in program_daily(world).items() if unit == "points"}
    facts = redemptions(world)
    ledger = [(month_of(world.day(entry.at)), entry) for entry in entries(world)]
    happened = [entry.at for _, entry in ledger] + [code.claimed_at for code in world.codes]
    month, last = month_of(world.day(min(happened))), month_of(world.day(world.now))
    found: Rows = {}
    while month <= last:
        found[month] = {
            **_members(world, month, days),
            **_points([(at, entry) for at, entry in ledger if entry.unit == "points"], month),
            **_codes(world, month, facts),
            "is_complete": months_later(month, 1) <= world.day(world.now),
        }
        month = months_later(month, 1)
    for month, row in found.items():
        for name in COMPARED:
            row[f"{name}_previous"] = found.get(months_later(month, -1), {}).get(name)
            row[f"{name}_last_year"] = found.get(months_later(month, -12), {}).get(name)
    return found


def _members(world: World, month: date, days: dict[date, Any]) -> dict[str, Any]:
    mine = [day for day in days if month_of(day) == month]
    if not mine:
        names = ("members_start", "joined", "left_members", "members_end", "customers_end")
        return dict.fromkeys((*names, "enrolment_share", "active_30d", "active_90d", "active_rate_90d"))
    last = days[max(mine)]
    customers = len(world.states_at(world.midnight(max(mine) + timedelta(days=1))))
    is_whole = min(mine) == month and month > world.day(world.beginning)
    members, active = last["members_end"], last["active_members_90d"]
    return {
        "members_start": days[month]["members_start"] if is_whole else None,
        "joined": sum(days[day]["joined"] for day in mine) if is_whole else None,
        "left_members": sum(days[day]["left"] for day in mine) if is_whole else None,
        "members_end": members,
        "customers_end": customers,
        "enrolment_share": members / customers,
        "active_30d": last["active_members_30d"],
        "active_90d": active,
        "active_rate_90d": active / members if members else None,
    }


def _points(ledger: list[tuple[date, Entry]], month: date) -> dict[str, Any]:
    mine = [entry for at, entry in ledger if at == month]
    issued = sum(entry.amount for entry in mine if entry.entry_class in ISSUES)
    redeemed = -sum(entry.amount for entry in mine if entry.entry_class in REDEEMS)
    return {
        "points_issued": issued,
        "points_redeemed": redeemed,
        "points_expired": -sum(entry.amount for entry in mine if entry.entry_class == "expire"),
        "points_outstanding": sum(entry.amount for at, entry in ledger if at <= month),
        "points_burn_ratio": float(Decimal(redeemed) / Decimal(issued)) if issued else None,
    }


def _codes(world: World, month: date, facts: Rows) -> dict[str, Any]:
    used = [code for code in world.codes if code.used_at and month_of(world.day(code.used_at)) == month]
    values = [facts[code.id]["redemption_value"] for code in used]
    return {
        "codes_claimed": sum(month_of(world.day(code.claimed_at)) == month for code in world.codes),
        "codes_used": len(used),
        "value_used": sum((value for value in values if value is not None), Decimal()),
        "codes_used_unvalued": values.count(None),
        # Where the store omits the time of completion, that of the last change is the best there is.
        "referrals_completed": sum(
            month_of(world.day(at)) == month
            for referral in world.referrals
            if referral.status == "completed" and (at := referral.completed_at or referral.changed_at)
        ),
    }

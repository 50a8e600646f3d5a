"""Reports about points, rewards and earning rules, worked out naively from the store's last answers."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from statistics import median
from typing import Any

from tests.dbt_like_sql.models.facts import NOT_MEMBER, Code, Event, World, month_of, months_later, once
from tests.dbt_like_sql.models.judge_ledger import ISSUES, REDEEMS, Entry, entries, redemptions

CLASSES = (
    "issue_purchase",
    "issue_action",
    "issue_referral",
    "issue_tier",
    "issue_manual",
    "issue_import",
    "issue_reversal",
    "redeem",
    "redeem_return",
    "expire",
    "adjust_negative",
    "unclassified",
)
ACTIVE = {"issue_purchase", "issue_action", "issue_referral", "redeem"}
Rows = dict[Any, dict[str, Any]]


def counts(event: Event, rule: str, world: World) -> bool:
    """Return whether a tally counts an event under a rule."""
    if rule == "a":
        return True
    if event.revoked_at is not None:
        return False
    if rule == "b":
        return True
    if event.hidden:
        return False
    settled = event.at <= world.now and event.approved_at is not None and event.approved_at <= world.now
    return rule == "c" or settled


def reconciliation(world: World) -> Rows:
    """`rpt_ledger_reconciliation` by customer and unit, for the listed customers."""
    found = {}
    by_customer: dict[int, list[Event]] = defaultdict(list)
    for event in world.events:
        by_customer[event.customer_id].append(event)
    for id in world.present:
        for unit in ("points", "credits"):
            tally = Decimal(str(world.people[id][f"{unit}_tally"]))
            row = {"tally": tally, "is_member": world.people[id]["loyalty_status"] == "member"}
            for rule in "abcd":
                row[f"balance_{rule}"] = sum(
                    (
                        Decimal(e.points if unit == "points" else e.credits)
                        for e in by_customer[id]
                        if counts(e, rule, world)
                    ),
                    Decimal(),
                )
            found[id, unit] = row
    return found


def _by_class(found: Iterable[Entry]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for entry in found:
        sums[entry.entry_class] += entry.amount
    return sums


def rollforward(world: World) -> Rows:
    """`rpt_points_rollforward` by month and unit."""
    found = {}
    for unit in ("points", "credits"):
        mine = [(month_of(world.day(e.at)), e) for e in entries(world) if e.unit == unit]
        if not mine:
            continue
        month, balance = mine[0][0], Decimal()
        last = max(mine[-1][0], month_of(world.day(world.now)))
        while month <= last:
            sums = _by_class(e for of, e in mine if of == month)
            row = {name: sums[name] for name in CLASSES}
            found[month, unit] = {"opening": balance, **row, "closing": balance + sum(row.values())}
            balance += sum(row.values())
            month = months_later(month, 1)
    return found


@once
def _active_days(world: World) -> dict[int, list[date]]:
    days: dict[int, set[date]] = defaultdict(set)
    for entry in entries(world):
        if entry.leg == "original" and entry.entry_class in ACTIVE:
            days[entry.event.customer_id].add(world.day(entry.at))
    for code in world.codes:
        days[code.customer_id].add(world.day(code.claimed_at))
    return defaultdict(list, {id: sorted(found) for id, found in days.items()})


def _is_active(days: list[date], day: date, length: int = 30) -> bool:
    so_far = bisect_right(days, day)
    return so_far > 0 and days[so_far - 1] > day - timedelta(days=length)


@once
def member_daily(world: World) -> Rows:
    """`fct_member_daily` by customer and local day."""
    booked: dict[tuple[int, date], list[Entry]] = defaultdict(list)
    balances: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for entry in entries(world):
        day = max(world.day(entry.at), world.day(world.beginning) - timedelta(days=1))
        if world.day(entry.at) == day:
            booked[entry.event.customer_id, day].append(entry)
        else:
            balances[entry.event.customer_id, entry.unit] += entry.amount
    before = world.day(world.beginning) - timedelta(days=1)
    for (id, day), mine in booked.items():
        if day == before:
            for entry in mine:
                balances[id, entry.unit] += entry.amount
    active = _active_days(world)
    found = {}
    for day in world.days():
        states = world.states_at(world.midnight(day + timedelta(days=1)))
        for id in world.people:
            mine = booked[id, day]
            for entry in mine:
                balances[id, entry.unit] += entry.amount
            if id not in states:
                continue
            sums = _by_class(e for e in mine if e.unit == "points")
            found[id, day] = {
                "state": world.state_name(states[id]),
                "points_balance": balances[id, "points"],
                "credits_balance": balances[id, "credits"],
                "issued": sum((sums[name] for name in ISSUES), Decimal()),
                "redeemed": -sum((sums[name] for name in REDEEMS), Decimal()),
                "expired": -sums["expire"],
                "orders": len(
                    {e.event.id for e in mine if e.leg == "original" and e.entry_class == "issue_purchase"}
                ),
                "is_active_30d": _is_active(active[id], day),
            }
    return found


def member_spans(world: World) -> Rows:
    """`fct_member_span` by customer and first day: the days of `fct_member_daily` that are equal, put together."""
    active = _active_days(world)
    found: Rows = {}
    newest: dict[int, tuple[int, date]] = {}
    for (id, day), row in member_daily(world).items():
        values = row | {"is_active_90d": _is_active(active[id], day, 90)}
        last = found.get(newest.get(id))
        is_quiet = not any(row[name] for name in ("issued", "redeemed", "expired", "orders"))
        if last and is_quiet and last == values | {"last_day": day - timedelta(days=1)}:
            last["last_day"] = day
        else:
            newest[id] = (id, day)
            found[id, day] = values | {"last_day": day}
    return found


def _paid_in(code: Code) -> str:
    return "credits" if code.credits > 0 and not code.points else "points"


@once
def program_daily(world: World) -> Rows:
    """`rpt_program_daily` by local day and unit."""
    ledger, active = [(world.day(entry.at), entry) for entry in entries(world)], _active_days(world)
    claims = [(world.day(code.claimed_at), code) for code in world.codes]
    uses = [(world.day(code.used_at), code) for code in world.codes if code.used_at is not None]
    found: Rows = {}
    before: set[int] | None = None
    for day in world.days():
        states = world.states_at(world.midnight(day + timedelta(days=1)))
        members = {id for id, state in states.items() if state != NOT_MEMBER}
        for unit in ("points", "credits"):
            so_far = [(at, entry) for at, entry in ledger if entry.unit == unit and at <= day]
            sums = _by_class(entry for at, entry in so_far if at == day)
            found[day, unit] = {
                "members_start": None if before is None else len(before),
                "joined": None if before is None else len(members - before),
                **dict.fromkeys(("left", "left_members"), None if before is None else len(before - members)),
                "members_end": len(members),
                "active_members_30d": sum(_is_active(active[id], day) for id in members),
                "active_members_90d": sum(_is_active(active[id], day, 90) for id in members),
                "issued": sum((sums[name] for name in ISSUES), Decimal()),
                "redeemed": -sum((sums[name] for name in REDEEMS), Decimal()),
                "expired": -sums["expire"],
                "adjusted": sums["adjust_negative"],
                "imported": sums["issue_import"],
                "outstanding": sum((entry.amount for _, entry in so_far), Decimal()),
                "codes_claimed": sum(at == day and _paid_in(code) == unit for at, code in claims),
                "codes_used": sum(at == day and _paid_in(code) == unit for at, code in uses),
            }
        before = members
    return found


def _claimable(world: World) -> set[int]:
    """Return the rewards that points or credits pay for."""
    listed = [row for seen in world.observations for row in seen.lists["rewards"]]
    return {row["id"] for row in listed if row["attributes"]["source"] in ("points", "credits", None)}


def rewards(world: World, offered: set[tuple[date, int]]) -> Rows:
    """`rpt_reward_performance` by month of the claim and reward, with the months in which each was enabled."""
    facts = redemptions(world)
    cohorts: dict[Any, list[Any]] = defaultdict(list)
    for code in world.codes:
        cohorts[month_of(world.day(code.claimed_at)), code.reward_id].append(code)
    claimed = {code.reward_id for code in world.codes}
    advocates = {id for _, id in offered} - claimed - _claimable(world)
    nothing = dict.fromkeys(
        ("claims", "members", "points_spent", "used", "open", "expired_unused", "revoked"), 0
    )
    found: Rows = {}
    for month, reward in offered - cohorts.keys():
        if reward not in advocates:
            found[month, reward] = {**nothing, "use_rate": None, "value_claimed": 0, "value_used": 0}
    for (month, reward), codes in cohorts.items():
        rows = [facts[code.id] for code in codes]
        hours = [row["hours_to_use"] / timedelta(hours=1) for row in rows if row["hours_to_use"] is not None]
        valued = [row for row in rows if row["redemption_value"] is not None]
        worth = sum(row["redemption_value"] for row in valued) if valued else None
        used = [row for row in valued if row["used_at"] is not None]
        points = sum(code.points for code in codes)
        all_points = sum(c.points for c in world.codes if month_of(world.day(c.claimed_at)) == month)
        paid = sum(row["points_spent"] for row in valued)
        statuses = [row["status"] for row in rows]
        found[month, reward] = {
            "claims": len(codes),
            "members": len({code.customer_id for code in codes}),
            "points_spent": points,
            "used": len(hours),
            "use_rate": len(hours) / len(codes),
            "open": statuses.count("open"),
            "expired_unused": statuses.count("expired"),
            "revoked": statuses.count("revoked"),
            "median_hours_to_use": median(hours) if hours else None,
            "value_claimed": worth,
            "value_used": sum(row["redemption_value"] for row in used) if used else None,
            "cost_per_point": float(worth / paid) if worth is not None and paid else None,
            "share_of_points": points / all_points if all_points else None,
        }
    return found


def earning_rules(world: World) -> Rows:
    """`rpt_earning_rule_performance` by month, rule, and source where there is no rule."""
    months: dict[Any, list[Entry]] = defaultdict(list)
    for entry in entries(world):
        if entry.unit == "points" and entry.entry_class in ISSUES:
            rule = entry.event.rule_id
            source = None if rule else entry.event.source
            months[month_of(world.day(entry.at)), rule, source].append(entry)
    found = {}
    for (month, rule, source), mine in months.items():
        earned = [e for e in mine if e.entry_class != "issue_reversal"]
        issued = sum(e.amount for e in earned)
        everything = sum(
            e.amount
            for (of, _, _), theirs in months.items()
            for e in theirs
            if of == month and e.entry_class != "issue_reversal"
        )
        taken = -sum(e.amount for e in mine if e.entry_class == "issue_reversal")
        found[month, rule, source] = {
            "events": len(earned),
            "members": len({e.event.customer_id for e in earned}),
            "points_issued": issued,
            "share_of_points": float(issued / everything) if everything else None,
            "reversed": taken,
            "reversal_rate": float(taken / issued) if issued else None,
        }
    return found

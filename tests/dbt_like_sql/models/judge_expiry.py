"""Expiring points, worked out naively: every past expiry entry is held against both dates that Rivo gives."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tests.dbt_like_sql.models import judge_ledger, judge_liability, judge_lots
from tests.dbt_like_sql.models.facts import World, month_of

Rows = dict[Any, dict[str, Any]]
BASES = (("points", "customer"), ("points", "entry"), ("credits", "entry"))


def _day(text: str | None) -> date | None:
    return datetime.strptime(text, "%b %d, %Y").date() if text else None  # noqa: DTZ007 - a day has no zone


def bases(world: World) -> Rows:
    """`int_expiry_basis` by unit and basis."""
    verdicts: dict[tuple[str, str], list[bool]] = defaultdict(list)
    entries = judge_ledger.entries(world)
    for expiry in entries:
        is_expiry = expiry.entry_class == "expire" and expiry.leg == "original" and expiry.amount < 0
        if not is_expiry or expiry.at > world.now:
            continue
        day, customer = world.day(expiry.at), expiry.event.customer_id
        due = [
            world.day(lot.event.expires_at)
            for lot in entries
            if lot.event.customer_id == customer
            and lot.unit == expiry.unit
            and lot.amount > 0
            and lot.at < expiry.at
            and lot.event.expires_at is not None
        ]
        verdicts[expiry.unit, "entry"].append(any(abs((day - each).days) <= 1 for each in due))
        before = [seen for seen in world.observations if seen.at < expiry.at]
        shown = {row["id"]: row["attributes"] for row in before[-1].lists["customers"]} if before else {}
        if expiry.unit == "points" and customer in shown:
            expected = _day(shown[customer]["points_expire_at"])
            verdicts["points", "customer"].append(expected is not None and abs((day - expected).days) <= 1)
    found: Rows = {}
    for unit, basis in BASES:
        of = verdicts[unit, basis]
        share = sum(of) / len(of) if of else None
        found[unit, basis] = {"entries": len(of), "explained": sum(of), "share": share, "is_used": False}
    for unit in ("points", "credits"):
        able = [
            (row["explained"], basis)
            for (of, basis), row in found.items()
            if of == unit and row["entries"] and row["explained"] * 100 >= row["entries"] * 95
        ]
        if able:
            found[unit, max(able)[1]]["is_used"] = True
    return found


def expiring(world: World) -> Rows:
    """`rpt_points_expiring` by customer, unit, day and basis."""
    decided = bases(world)
    people = {row["id"]: row["attributes"] for row in world.observations[-1].lists["customers"]}
    balances: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for entry in judge_ledger.entries(world):
        balances[entry.event.customer_id, entry.unit] += entry.amount
    due: dict[tuple[int, str, date, str], Decimal] = defaultdict(Decimal)
    for id, attrs in people.items():
        day = _day(attrs["points_expire_at"])
        if balances[id, "points"] > 0 and day is not None:
            due[id, "points", day, "customer"] = balances[id, "points"]
    for (_, unit, _), lot in judge_lots.lots(world).items():
        if lot["remaining"] > 0 and lot["expires_on"] is not None:
            due[lot["customer_id"], unit, lot["expires_on"], "entry"] += lot["remaining"]
    today = world.day(world.now)
    found: Rows = {}
    for (id, unit, day, basis), points in due.items():
        is_member = id in people and people[id]["loyalty_status"] == "member"
        others = [row["is_used"] for (of, other), row in decided.items() if of == unit and other != basis]
        if not is_member or day < today or (any(others) and not decided[unit, basis]["is_used"]):
            continue
        found[id, unit, day, basis] = {
            "email": people[id]["email"],
            "points": points,
            "days_left": (day - today).days,
            "balance": balances[id, unit],
            "is_used": decided[unit, basis]["is_used"],
        }
    return found


def forecast(world: World) -> Rows:
    """`rpt_expiry_forecast` by month, unit and basis."""
    rates: dict[str, Decimal | None] = {}
    for (_, unit, _), row in sorted(judge_liability.liability(world).items()):
        rates[unit] = row["value_per_point"]
    groups: dict[tuple[date, str, str], list[tuple[int, Decimal]]] = defaultdict(list)
    for (id, unit, day, basis), row in expiring(world).items():
        groups[month_of(day), unit, basis].append((id, row["points"]))
    found: Rows = {}
    for (month, unit, basis), mine in groups.items():
        points = sum((amount for _, amount in mine), Decimal())
        rate = rates[unit]
        found[month, unit, basis] = {
            "members": len({id for id, _ in mine}),
            "points": points,
            "value": None if rate is None else judge_liability.rounded(points * rate),
            "points_unvalued": points if rate is None else 0,
        }
    return found

"""Reports about members and referrals, worked out naively from the store's last answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from statistics import median
from typing import Any, NamedTuple

from tests.dbt_like_sql.models.facts import Referral, World, moment, month_of, months_later
from tests.dbt_like_sql.models.judge_ledger import Entry, entries

EARNS = {"issue_purchase", "issue_action", "issue_referral", "issue_tier", "issue_manual"}
Rows = dict[Any, dict[str, Any]]

DATED_MEASURES = {
    f"points_{window}{manual}": ("points", window, bool(manual))
    for window in ("365_days", "this_year", "lifetime")
    for manual in ("", "_and_manual")
} | {"orders_365_days": ("orders", "365_days", True)}
"""Measures of tiers whose progress follows from the ledger: kind, window, and whether manual points count."""


# -- referrals ----------------------------------------------------------------------------------------


def _days(world: World, referral: Referral) -> int | None:
    if referral.status != "completed" or referral.completed_at is None:
        return None
    return (world.day(referral.completed_at) - world.day(referral.created_at)).days


def referrals(world: World) -> Rows:
    """`fct_referral` by id."""
    return {
        referral.id: {
            "status": referral.status,
            "created_at": referral.created_at,
            "completed_at": referral.completed_at,
            "advocate_customer_id": referral.advocate_id,
            "friend_customer_id": referral.friend_id,
            "days_to_complete": _days(world, referral),
        }
        for referral in world.referrals
    }


def _counted(mine: list[Referral]) -> dict[str, Any]:
    statuses = [referral.status for referral in mine]
    blocked, completed = statuses.count("blocked"), statuses.count("completed")
    claimed, claimable = statuses.count("pending") + completed, len(mine) - blocked
    return {
        "blocked": blocked,
        "claimed": claimed,
        "completed": completed,
        "claim_rate": claimed / claimable if claimable else None,
        "completion_rate": completed / claimed if claimed else None,
    }


def referral_funnel(world: World) -> Rows:
    """`rpt_referral_funnel` by month of creation."""
    months: dict[date, list[Referral]] = defaultdict(list)
    for referral in world.referrals:
        months[month_of(world.day(referral.created_at))].append(referral)
    found = {}
    for month, mine in months.items():
        days = [days for referral in mine if (days := _days(world, referral)) is not None]
        found[month] = {
            "created": len(mine),
            "ineligible": sum(referral.status == "ineligible" for referral in mine),
            **_counted(mine),
            "median_days": median(days) if days else None,
        }
    return found


def advocates(world: World) -> Rows:
    """`rpt_advocates` by customer."""
    sent: dict[int, list[Referral]] = defaultdict(list)
    for referral in world.referrals:
        if referral.advocate_id is not None:
            sent[referral.advocate_id].append(referral)
    earned: dict[int, Decimal] = defaultdict(Decimal)
    for entry in entries(world):
        if entry.unit == "points" and entry.entry_class == "issue_referral":
            earned[entry.event.customer_id] += entry.amount
    return {
        id: {
            "referrals": len(mine),
            **_counted(mine),
            "points_earned": earned[id],
            "first_referral_at": min(referral.created_at for referral in mine),
            "last_referral_at": max(referral.created_at for referral in mine),
        }
        for id, mine in sent.items()
    }


# -- joining and what came of it ----------------------------------------------------------------------


def joined(world: World) -> dict[int, datetime]:
    """Return when each member joined: at the sign-up, else the last change of status, else the first entry."""
    found: dict[int, datetime] = {}
    first: dict[int, datetime] = {}
    for entry in entries(world):
        first.setdefault(entry.event.customer_id, entry.at)
        if entry.event.source == "customer_member_enabled" and entry.leg == "original":
            found.setdefault(entry.event.customer_id, entry.at)
    for id, attrs in world.people.items():
        if id not in found and attrs["loyalty_status"] == "member":
            changed = moment(
                attrs.get("loyalty_status_last_changed_at") or attrs.get("loyalty_status_last_updated_at")
            )
            if changed or id in first:
                found[id] = changed or first[id]
    return found


def _activity(world: World) -> dict[str, dict[int, list[Entry]]]:
    kinds: dict[str, dict[int, list[Entry]]] = {"earn": defaultdict(list), "buy": defaultdict(list)}
    for entry in entries(world):
        if entry.leg == "original" and entry.amount > 0 and entry.entry_class in EARNS:
            kinds["earn"][entry.event.customer_id].append(entry)
            if entry.entry_class == "issue_purchase":
                kinds["buy"][entry.event.customer_id].append(entry)
    return kinds


def cohorts(world: World) -> Rows:
    """`rpt_member_cohort_retention` by month of joining and months since."""
    members: dict[date, set[int]] = defaultdict(set)
    for id, at in joined(world).items():
        members[month_of(world.day(at))].add(id)
    months: dict[str, dict[date, set[int]]] = {
        name: defaultdict(set) for name in ("active_earners", "active_redeemers", "buyers")
    }
    activity = _activity(world)
    for name, kind in (("active_earners", "earn"), ("buyers", "buy")):
        for id, mine in activity[kind].items():
            for entry in mine:
                months[name][month_of(world.day(entry.at))].add(id)
    for code in world.codes:
        months["active_redeemers"][month_of(world.day(code.claimed_at))].add(code.customer_id)
    found = {}
    for start, ids in members.items():
        month, since = start, 0
        while month <= month_of(world.day(world.now)):
            found[start, since] = {"cohort_size": len(ids)} | {
                name: len(ids & active[month]) for name, active in months.items()
            }
            month, since = months_later(month, 1), since + 1
    return found


def funnel(world: World) -> Rows:
    """`rpt_member_funnel` by month of joining."""
    found: Rows = {}
    earned = _activity(world)["earn"]
    for id, at in joined(world).items():
        codes = [code for code in world.codes if code.customer_id == id]
        steps = (
            ("joined", True),
            ("first_earn", bool(earned[id])),
            ("first_redeem", len(codes) > 0),
            ("first_use", any(code.used_at for code in codes)),
            ("second_redeem", len(codes) > 1),
        )
        row = found.setdefault(month_of(world.day(at)), dict.fromkeys((name for name, _ in steps), 0))
        for name, taken in steps:
            if not taken:
                break
            row[name] += 1
    return found


# -- standing -----------------------------------------------------------------------------------------


def rfm(world: World) -> Rows:
    """`rpt_member_rfm` by customer: fifths of all members, by the number of members that are worse."""
    bought = _activity(world)["buy"]
    people = {id: world.people[id] for id in world.present if world.people[id]["loyalty_status"] == "member"}
    last_day = {id: max((world.day(entry.at) for entry in bought[id]), default=date.min) for id in people}
    scores: dict[str, Callable[[int], Any]] = {
        "recency": lambda id: last_day[id],
        "frequency": lambda id: people[id]["orders_count"] or 0,
        "monetary": lambda id: people[id]["total_spent"] or 0,
    }
    found: Rows = {id: {} for id in people}
    for name, score in scores.items():
        for id in people:
            worse = sum(score(other) < score(id) for other in people)
            found[id][name] = 5 * worse // len(people) + 1
    for id, row in found.items():
        value = max(row["frequency"], row["monetary"])
        never = not people[id]["orders_count"] and last_day[id] == date.min
        row["is_at_risk"] = row["recency"] <= 2 and value >= 3 and not never
        row["reactivation_points"] = max(0, people[id]["points_tally"]) if row["is_at_risk"] else 0
    return found


class Earning(NamedTuple):
    """Something that may count towards a tier, from one day on; `earned_on` decides when it drops out."""

    customer_id: int
    counts_from: date
    earned_on: date
    amount: Decimal
    is_manual: bool


def tier_earnings(world: World) -> dict[str, list[Earning]]:
    """Return what may count towards a tier, by 'points' and 'orders'."""
    found: dict[str, list[Earning]] = {"points": [], "orders": []}
    orders: set[int] = set()
    for entry in entries(world):
        event = entry.event
        counts_from, earned_on = max(world.day(entry.at), world.day(event.at)), world.day(event.at)
        earns = entry.entry_class in EARNS | {"issue_reversal"} and event.source != "import"
        if earns and entry.unit == "points":
            found["points"].append(
                Earning(event.customer_id, counts_from, earned_on, entry.amount, event.source == "manual")
            )
        if entry.entry_class == "issue_purchase" and entry.leg == "original" and event.id not in orders:
            orders.add(event.id)
            found["orders"].append(Earning(event.customer_id, earned_on, earned_on, Decimal(1), False))
    return found


def dated_progress(
    earnings: dict[str, list[Earning]], measure: str, day: date, known_on: date
) -> dict[int, Decimal]:
    """Return by customer what counts on a day by a measure, of what counted by another day."""
    kind, window, counts_manual = DATED_MEASURES[measure]
    found: dict[int, Decimal] = defaultdict(Decimal)
    for earning in earnings[kind]:
        inside = {
            "365_days": (day - earning.earned_on).days < 365,
            "this_year": day.year == earning.earned_on.year,
            "lifetime": True,
        }
        if inside[window] and earning.counts_from <= known_on and (counts_manual or not earning.is_manual):
            found[earning.customer_id] += earning.amount
    return found


def tier_progress(world: World) -> Rows:
    """`int_tier_progress` by customer and measure."""
    today = world.day(world.now)
    earnings = tier_earnings(world)
    progress = {name: dated_progress(earnings, name, today, today) for name in DATED_MEASURES}
    progress |= {"spend_lifetime": defaultdict(Decimal), "orders_lifetime": defaultdict(Decimal)}
    for id, person in world.people.items():
        progress["spend_lifetime"][id] = Decimal(str(person["total_spent"] or 0))
        progress["orders_lifetime"][id] = Decimal(person["orders_count"] or 0)
    thresholds = [Decimal(str(value)) for value in world.thresholds_on(world.observations[-1]).values()]
    known = world.thresholds_at(world.now)
    found = {}
    for id, state in world.states_at(world.now).items():
        held = Decimal(-1) if state.tier_id is None else Decimal(str(known[state.tier_id]))
        for measure, by_customer in progress.items() if state.kind != "not_member" else ():
            reached = max((t for t in thresholds if t <= by_customer[id]), default=Decimal(-1))
            found[id, measure] = {
                "tier_id": state.tier_id,
                "held_threshold": held,
                "progress": by_customer[id],
                "agrees": reached == held,
            }
    return found


def near_next_tier(world: World, measure: str) -> Rows:
    """`rpt_near_next_tier` by customer, if this is the measure."""
    tiers = [(Decimal(str(value)), id) for id, value in world.thresholds_on(world.observations[-1]).items()]
    found = {}
    for (id, name), row in tier_progress(world).items():
        above = [tier for tier in tiers if tier[0] > row["held_threshold"]]
        if name == measure and above:
            threshold, next_id = min(above)
            found[id] = {
                "current_tier_id": row["tier_id"],
                "next_tier_id": next_id,
                "progress": row["progress"],
                "threshold": threshold,
                "gap": max(Decimal(), threshold - row["progress"]),
            }
    return found

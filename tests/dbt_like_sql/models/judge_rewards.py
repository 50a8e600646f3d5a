"""Reports about rewards and about the first steps of members, worked out naively."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tests.dbt_like_sql.models.facts import Attributes, World, certain, moment, month_of, months_later
from tests.dbt_like_sql.models.judge_ledger import entries, redemptions
from tests.harness.store import Observation

ACTIVE = {"issue_purchase", "issue_action", "issue_referral"}
HORIZONS = (30, 90, 180)
SUMS = (
    "codes_used",
    "value_used",
    "codes_used_unvalued",
    "codes_refunded",
    "value_of_refunded",
    "codes_refunded_unvalued",
    "points_spent",
    "credits_spent",
)
Rows = dict[Any, dict[str, Any]]


# -- rpt_reward_reach ---------------------------------------------------------------------------------


def prices(rewards: list[Attributes]) -> list[tuple[int, int, str]]:
    """Return the price, id and name of each reward that points can buy, cheapest first."""
    found = []
    for row in rewards:
        attrs = row["attributes"]
        least = attrs["min_points_to_redeem_value"] if attrs["points_type"] == "incremental" else None
        price = attrs["points_amount"] if least is None else least
        if attrs["enabled"] and attrs["source"] in ("points", None) and price:
            found.append((price, row["id"], attrs["name"]))
    return sorted(found)


def reach(world: World, rewards: list[Attributes]) -> Rows:
    """`rpt_reward_reach` by customer, with these rewards."""
    offered = prices(rewards)
    found: Rows = {}
    for id in world.present:
        person = world.people[id]
        if person["loyalty_status"] != "member":
            continue
        balance = person["points_tally"]
        affordable = [price for price, _, _ in offered if price <= balance]
        missing = [price for price, _, _ in offered if price > balance]
        claims = [code.claimed_at for code in world.codes if code.customer_id == id]
        times = claims + [
            entry.at
            for entry in entries(world)
            if entry.event.customer_id == id
            and entry.leg == "original"
            and entry.entry_class in ACTIVE | {"redeem"}
        ]
        found[id] = {
            "email": person["email"],
            "balance": balance,
            "cheapest_reward": offered[0][2] if offered else None,
            "cheapest_price": offered[0][0] if offered else None,
            "best_affordable_reward": _name(offered, max(affordable)) if affordable else None,
            "best_affordable_price": max(affordable) if affordable else None,
            "next_reward": _name(offered, min(missing)) if missing else None,
            "points_to_next_reward": min(missing) - balance if missing else None,
            "can_redeem": bool(affordable),
            "has_ever_redeemed": bool(claims),
            "idle_days": max(0, (world.day(world.now) - world.day(max(times))).days) if times else None,
        }
    return found


def _name(offered: list[tuple[int, int, str]], price: int) -> str:
    return next(name for other, _, name in offered if other == price)


# -- rpt_reward_cost ----------------------------------------------------------------------------------


def reward_months(world: World, observed: list[Observation]) -> set[tuple[date, int]]:
    """Return the months in which each reward was enabled, by the observations that read the rewards."""
    found = set()
    seen: set[int] = set()
    ends = [later.at for _, later in pairwise(observed)] + [world.now]
    for observation, end in zip(observed, ends, strict=False):
        for row in observation.lists["rewards"]:
            attrs = row["attributes"]
            start = observation.at
            if row["id"] not in seen:
                start = min(start, certain(moment(attrs["created_at"])))
            seen.add(row["id"])
            month = month_of(world.day(start))
            while attrs["enabled"] and month <= world.day(end):
                found.add((month, row["id"]))
                month = months_later(month, 1)
    return found


def cost(world: World, observed: list[Observation]) -> Rows:
    """`rpt_reward_cost` by month of the use and reward."""
    facts = redemptions(world)
    used = [code for code in world.codes if code.used_at is not None]
    months: dict[tuple[date, int], list[dict[str, Any]]] = {
        place: [] for place in reward_months(world, observed)
    }
    for code in used:
        place = (month_of(world.day(certain(code.used_at))), code.reward_id)
        months.setdefault(place, []).append(facts[code.id])
    names = {}
    for code in sorted(world.codes, key=lambda code: (code.claimed_at, code.id)):
        names[code.reward_id] = code.reward["name"]
    sources = {}
    for observation in observed:
        for row in observation.lists["rewards"]:
            names[row["id"]] = row["attributes"]["name"]
            sources[row["id"]] = row["attributes"]["source"]
    ever_claimed = {code.reward_id for code in world.codes}
    found: Rows = {}
    for (month, id), rows in months.items():
        sums: dict[str, Any] = dict.fromkeys(SUMS)
        if id in ever_claimed or sources[id] != "referrer":
            back = [fact for fact in rows if fact["refunded_at"] is not None]
            sums = {
                "codes_used": len(rows),
                "value_used": _worth(rows),
                "codes_used_unvalued": sum(fact["redemption_value"] is None for fact in rows),
                "codes_refunded": len(back),
                "value_of_refunded": _worth(back),
                "codes_refunded_unvalued": sum(fact["redemption_value"] is None for fact in back),
                "points_spent": sum(fact["points_spent"] for fact in rows),
                "credits_spent": sum(fact["credits_spent"] for fact in rows),
            }
        is_complete = months_later(month, 1) <= world.day(world.now)
        found[month, id] = {"reward_name": names[id], **sums, "is_complete": is_complete}
    return found


def _worth(rows: list[dict[str, Any]]) -> Decimal | None:
    values = [row["redemption_value"] for row in rows if row["redemption_value"] is not None]
    return sum(values, Decimal()) if values or not rows else None


# -- rpt_time_to_first --------------------------------------------------------------------------------


def _last_days(world: World) -> dict[int, date]:
    """Return the local day until which each customer was observed."""
    found = {}
    for id in world.people:
        present = [id in {row["id"] for row in seen.lists["customers"]} for seen in world.observations]
        last = max(number for number, is_there in enumerate(present) if is_there)
        later = world.observations[last + 1 :]
        found[id] = world.day(later[0].at if later else world.now)
    return found


def first_times(world: World) -> dict[tuple[date, str], list[tuple[int, bool, int]]]:
    """Return for each member of a quarter the days to an event, whether it happened, and the days followed."""
    ledger, last_days = entries(world), _last_days(world)
    joined: dict[int, date] = {}
    earned: dict[int, list[date]] = defaultdict(list)
    ordered: dict[int, dict[int, date]] = defaultdict(dict)
    for entry in ledger:
        id, day = entry.event.customer_id, world.day(entry.at)
        if entry.leg != "original":
            continue
        if entry.event.source == "customer_member_enabled":
            joined[id] = min(day, joined.get(id, day))
        elif entry.amount > 0 and entry.entry_class in ACTIVE:
            earned[id].append(day)
            if entry.entry_class == "issue_purchase":
                ordered[id][entry.event.id] = day
    claimed: dict[int, list[date]] = defaultdict(list)
    for code in world.codes:
        claimed[code.customer_id].append(world.day(code.claimed_at))
    found: dict[tuple[date, str], list[tuple[int, bool, int]]] = defaultdict(list)
    for id, start in joined.items():
        end = last_days.get(id, world.day(world.now))
        if end < start:
            continue
        quarter = date(start.year, 3 * ((start.month - 1) // 3) + 1, 1)
        for event, days, number in (
            ("earn", earned[id], 1),
            ("redeem", claimed[id], 1),
            ("second_order", list(ordered[id].values()), 2),
        ):
            inside = sorted(day for day in days if start <= day <= end)
            happened = len(inside) >= number
            until = inside[number - 1] if happened else end
            found[quarter, event].append(((until - start).days, happened, (end - start).days))
    return found


def without_event(times: list[tuple[int, bool, int]], day: int) -> float | None:
    """Return the share without the event after a day, by Kaplan and Meier; None where the curve does not reach."""
    share = 1.0
    for at in range(day + 1):
        at_risk = sum(days >= at for days, _, _ in times)
        if not at_risk:
            return 0.0 if share < 1e-12 else None
        share *= 1 - sum(days == at and happened for days, happened, _ in times) / at_risk
    return share


def time_to_first(world: World) -> Rows:
    """`rpt_time_to_first` by quarter of joining and event."""
    found: Rows = {}
    for key, times in first_times(world).items():
        followed = max(days for _, _, days in times)
        row: dict[str, Any] = {
            "members": len(times),
            "events": sum(happened for _, happened, _ in times),
            "censored": sum(not happened for _, happened, _ in times),
            "longest_follow_up": followed,
            "km_median_days": next(
                (day for day in range(followed + 1) if (without_event(times, day) or 0) <= 0.5 + 1e-9), None
            ),
        }
        last = max(days for days, _, _ in times)
        if row["km_median_days"] is not None and row["km_median_days"] > last:
            row["km_median_days"] = None
        for days in HORIZONS:
            rest = without_event(times, days) if followed >= days else None
            row[f"km_share_{days}d"] = None if rest is None else 1 - rest
            row[f"at_risk_{days}d"] = sum(until >= days for until, _, _ in times)
        found[key] = row
    return found

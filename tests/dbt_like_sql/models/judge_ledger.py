"""Ledger entries, redemptions and members, worked out naively from the store's last answers."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from tests.dbt_like_sql.models.facts import Code, Event, World, once

ISSUES = {"issue_purchase", "issue_action", "issue_referral", "issue_tier", "issue_manual", "issue_reversal"}
REDEEMS = {"redeem", "redeem_return"}

_ACTIONS = {
    "custom_action",
    "visit_url",
    "review_complete",
    "customer_birthday",
    "customer_member_enabled",
    "instagram_follow",
    "tiktok_follow",
    "facebook_like",
    "facebook_share",
    "twitter_follow",
    "twitter_share",
}
_GAINS = {
    "order_placed": ("issue_purchase", "purchase"),
    "referral_complete": ("issue_referral", "non_purchase"),
    "vip_tier_upgrade": ("issue_tier", "non_purchase"),
    **dict.fromkeys(_ACTIONS, ("issue_action", "non_purchase")),
}


class Entry(NamedTuple):
    """One leg of an event in one unit."""

    event: Event
    unit: str
    leg: str
    entry_class: str
    basis: str | None
    amount: Decimal
    at: Any


@once
def entries(world: World) -> list[Entry]:
    """Return every leg in the order in which it counts."""
    found = []
    for event in world.events:
        if not _is_held(event, world):
            continue
        for unit, amount in (("points", Decimal(event.points)), ("credits", event.credits)):
            if not amount:
                continue
            name, basis = _classify(event, amount)
            found.append(Entry(event, unit, "original", name, basis, amount, event.at))
            if event.revoked_at is not None:
                kept = ("expire", "adjust_negative", "issue_import", "unclassified")
                undone = name if name in kept else "redeem_return" if name == "redeem" else "issue_reversal"
                found.append(Entry(event, unit, "revocation", undone, basis, -amount, event.revoked_at))
    return sorted(found, key=lambda entry: (entry.at, entry.event.id, entry.leg))


def _is_held(event: Event, world: World) -> bool:
    """Return whether the shop's tallies count an event until it is revoked."""
    if world.rule == "b":
        return True
    is_settled = event.at <= world.now and event.approved_at is not None and event.approved_at <= world.now
    return not event.hidden and (world.rule == "c" or is_settled)


def _classify(event: Event, amount: Decimal) -> tuple[str, str | None]:
    source, gains = event.source, amount > 0
    if "expir" in source:
        return "expire", None
    if source == "import":
        return "issue_import", "import"
    if source == "points_purchase":
        return ("redeem_return" if gains else "redeem"), None
    if source == "manual":
        if not gains:
            return "adjust_negative", None
        return ("redeem_return", None) if event.redemption_id else ("issue_manual", "manual")
    if source not in _GAINS:
        return "unclassified", None
    name, basis = _GAINS[source]
    return (name if gains else "issue_reversal"), basis


def ledger(world: World) -> dict[tuple[int, str, str], dict[str, Any]]:
    """`fct_points_ledger` by event, unit and leg."""
    balances: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    found = {}
    for entry in entries(world):
        event = entry.event
        balances[event.customer_id, entry.unit] += entry.amount
        state = world.states_at(entry.at).get(event.customer_id)
        found[event.id, entry.unit, entry.leg] = {
            "customer_id": event.customer_id,
            "entry_class": entry.entry_class,
            "earn_basis": entry.basis,
            "source": event.source,
            "earning_rule_id": event.rule_id,
            "redemption_id": event.redemption_id,
            "amount": entry.amount,
            "entry_at": entry.at,
            "entry_date": world.day(entry.at),
            "balance_after": balances[event.customer_id, entry.unit],
            "tier_id_at_entry": state.tier_id if state else None,
        }
    return found


# -- redemptions --------------------------------------------------------------------------------------


def redemptions(world: World) -> dict[int, dict[str, Any]]:
    """`fct_redemption` by its id."""
    return {
        code.id: {
            "customer_id": code.customer_id,
            "reward_id": code.reward_id,
            "reward_type": code.reward["reward_type"],
            "claimed_at": code.claimed_at,
            "points_spent": code.points,
            "credits_spent": code.credits,
            "redemption_value": _value(code),
            "expires_at": code.expires_at,
            "used_at": code.used_at,
            "revoked_at": code.revoked_at,
            "refunded_at": code.refunded_at,
            "status": status_of(code, world),
            "hours_to_use": None if code.used_at is None else code.used_at - code.claimed_at,
        }
        for code in world.codes
    }


def _value(code: Code) -> Decimal | None:
    if code.reward["reward_type"] in ("percentage", "free_shipping", "free_product"):
        return None
    value = Decimal(str(code.reward["reward_value"]))
    if code.reward["points_type"] == "incremental":
        value = value * (code.points or code.credits) / code.reward["points_amount"]
    return value


def status_of(code: Code, world: World) -> str:
    """Return the status of a code at the last observation."""
    if code.revoked_at is not None:
        return "revoked"
    if code.refunded_at is not None:
        return "refunded"
    if code.used_at is not None:
        return "used"
    if code.expires_at is not None and code.expires_at <= world.now:
        return "expired"
    return "open"


# -- members ------------------------------------------------------------------------------------------


def members(world: World) -> dict[int, dict[str, Any]]:
    """Return the columns of `dim_member` that follow from the API alone, by id of the listed customers."""
    sums: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    first_earned: dict[int, Any] = {}
    for entry in entries(world):
        if entry.leg == "original" and entry.amount > 0 and entry.entry_class in ISSUES:
            first_earned.setdefault(entry.event.customer_id, entry.at)
        if entry.unit == "points":
            sums[entry.event.customer_id][entry.entry_class] += entry.amount
    last = world.observations[-1].lists
    advocates = [referral.advocate_id for referral in world.referrals if referral.status == "completed"]
    entered = _tier_entries(world)
    found = {}
    for row in last["customers"]:
        id, attrs = row["id"], row["attributes"]
        state = world.states_at(world.now)[id]
        mine = sums[id]
        codes = [code for code in world.codes if code.customer_id == id]
        found[id] = {
            "email": attrs["email"],
            "loyalty_status": attrs["loyalty_status"],
            "is_member": attrs["loyalty_status"] == "member",
            "tier_id": state.tier_id,
            "tier_name": None if state.tier_id is None else world.state_name(state),
            "tier_entered_at": entered.get(id),
            "points_balance": attrs["points_tally"],
            "credits_balance": Decimal(attrs["credits_tally"]),
            "points_issued_lifetime": sum((mine[name] for name in ISSUES), Decimal()),
            "points_redeemed_lifetime": -sum((mine[name] for name in REDEEMS), Decimal()),
            "points_expired_lifetime": -mine["expire"],
            "first_earn_at": first_earned.get(id),
            "first_redemption_at": min((code.claimed_at for code in codes), default=None),
            "is_redeemer": any(code.stands for code in codes),
            "referrals_completed": advocates.count(id),
            "orders_count": attrs["orders_count"],
            "total_spent": None if attrs["total_spent"] is None else Decimal(str(attrs["total_spent"])),
            "is_deleted": False,
        }
    return found


def _tier_entries(world: World) -> dict[int, Any]:
    """Return when a customer was first seen in the present tier, if it was seen without it before."""
    entered: dict[int, Any] = {}
    for earlier, later in pairwise(world.observations):
        before = world.states_at(earlier.at)
        for id, state in world.states_at(later.at).items():
            if id not in before:
                entered[id] = None
            elif before[id] != state:
                entered[id] = later.at if state.tier_id is not None else None
    return entered

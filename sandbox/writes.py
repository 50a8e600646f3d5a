"""The calls that change the shop: points, redemptions, refunds, referrals, customers, tiers.

Each returns 201 or 200 with the object that it made or changed, or a refusal. Fields with unknown names are ignored,
as Rivo ignores them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from sandbox import paging
from sandbox.clock import parse
from sandbox.people import code
from sandbox.program import Program
from sandbox.rows import Attributes
from sandbox.shapes import REWARD_CARD, TEMPLATES
from sandbox.spending import dollars
from sandbox.view import Object, View
from sandbox.webhooks import POINTS, REDEMPTION, Event, tier_event

SOURCES = (
    *("manual", "custom_action", "referral_complete", "visit_url", "instagram_follow", "tiktok_follow"),
    *("facebook_like", "facebook_share", "twitter_follow", "twitter_share"),
)
"""Sources that a caller may give a points event."""
BATCH = 10
"""Maximum number of points events in one call."""

Fields = Mapping[str, Any]


class Refused(Exception):
    """The call is refused with a status and a message; nothing has changed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Mail:
    """A mail that a call caused."""

    customer_id: int
    about: str


@dataclass
class Shop:
    """The programme at the moment of a call, and the mails and events that calls have caused."""

    program: Program
    now: datetime
    mails: list[Mail]
    recalculates_tiers: bool = False
    """Whether a tier that a call sets is recalculated at once, so that the customer keeps the old one."""
    events: list[Event] = field(default_factory=list)
    """What webhooks report of the call."""

    @property
    def view(self) -> View:
        """The lists as they are now."""
        return self.program.view(self.now)

    def object(self, name: str, id: int) -> Object:
        """Return a row as the API answers it."""
        row = self.view.find(name, id)
        assert row is not None
        return self.view.object(name, row)

    def customer(self, identifier: Any) -> Attributes:
        """Return the attributes of a customer by Shopify id or e-mail address."""
        row = paging.find_customer(self.view, str(identifier or "").strip())
        if row is None:
            raise Refused(404, "Could not find a customer with that identifier.")
        attributes: Attributes = self.view.object("customers", row)["attributes"]
        return attributes


def add_points(shop: Shop, fields: Fields) -> Object:
    """Add points or credits to a balance, or take them; there is no floor at zero."""
    customer = shop.customer(_needed(fields, "customer_identifier"))
    source = _needed(fields, "source")
    if source not in SOURCES:
        raise Refused(422, f"Source is not one of {', '.join(SOURCES)}.")
    points, credits = _whole(fields, "points_amount"), _number(fields, "credits_amount")
    if source == "manual" and not points and not credits:
        raise Refused(422, "Points amount or credits amount is required.")
    if source == "custom_action":
        _needed(fields, "custom_action_name")
    _refuse_status(customer, "excluded")
    applied_at = fields.get("applied_at") or shop.now
    attributes: Attributes = {
        "customer": {"id": customer["id"]},
        "source": source,
        "title": "manual points adjustment" if source == "manual" else source,
        "points_amount": abs(points),
        "points_diff": points,
        "credits_amount": f"{credits}",
        "applied_at": _moment(applied_at),
        "custom_action_name": fields.get("custom_action_name"),
        "external_note": fields.get("external_note"),
        "internal_note": fields.get("internal_note"),
    }
    id = _insert(shop, "points_events", attributes)
    if not _is_true(fields.get("skip_email")) and (points > 0 or credits > 0):
        shop.mails.append(Mail(customer["id"], "points earned"))
    return shop.object("points_events", id)


def add_points_in_batch(shop: Shop, fields: Fields) -> list[Object]:
    """Add points for up to ten customers. The valid ones land even if another one is refused, and all send mails."""
    events = fields.get("points_events")
    if not isinstance(events, list) or not events:
        raise Refused(422, "points_events must be a list.")
    if len(events) > BATCH:
        raise Refused(422, f"At most {BATCH} points events are allowed in one call.")
    landed, refusals = [], []
    for place, event in enumerate(events):
        try:
            landed.append(
                add_points(shop, {name: value for name, value in event.items() if name != "skip_email"})
            )
        except Refused as refusal:
            refusals.append(f"points_events[{place}]: {refusal.message}")
    if refusals:
        raise Refused(422, " ".join(refusals))
    return landed


def redeem(shop: Shop, fields: Fields) -> Object:
    """Redeem a reward: a code, and the ledger entry that pays for it."""
    customer = shop.customer(_needed(fields, "customer_identifier"))
    reward_id = _whole({"reward_id": _needed(fields, "reward_id")}, "reward_id")
    row = shop.view.find("rewards", reward_id)
    if row is None:
        raise Refused(404, "Could not find a reward with that ID.")
    reward = shop.object("rewards", reward_id)["attributes"]
    if not reward["enabled"]:
        raise Refused(422, "This reward is disabled.")
    _refuse_status(customer, "excluded", "guest")
    points, credits = _price(reward, fields)
    if points > (customer["points_tally"] or 0) or credits > float(customer["credits_tally"] or 0):
        raise Refused(422, "The customer does not have enough points.")
    name = reward["name"]
    if reward["points_type"] == "incremental":
        value = reward["reward_value"] * (points or credits) / reward["points_amount"]
        name = f"{dollars(int(value * 100))} off coupon"
    whole = {**TEMPLATES["rewards"], **reward}
    redemption: Attributes = {
        "code": code(
            Random(f"{shop.now}:{customer['id']}:{len(shop.view.rows('points_redemptions'))}"), "REDEEM-"
        ),
        "name": name,
        "points_amount": points,
        "points_diff": -points,
        "credits_amount": f"{credits}",
        "source": reward.get("source"),
        "reward_id": reward_id,
        "reward": {key: whole[key] for key in REWARD_CARD},
        "customer": {"id": customer["id"]},
    }
    id = _insert(shop, "points_redemptions", redemption)
    _post(shop, customer["id"], id, -points, -credits, "Redeemed a Reward")
    shop.mails.append(Mail(customer["id"], "reward redeemed"))
    return shop.object("points_redemptions", id)


def refund(shop: Shop, id: str, _fields: Fields) -> Object:
    """Refund a redemption; one that was refunded before stays as it is, without giving back twice."""
    row = shop.view.find("points_redemptions", int(id)) if id.isdecimal() else None
    if row is None:
        raise Refused(404, "Could not find a points redemption with that ID.")
    attributes = shop.object("points_redemptions", int(id))["attributes"]
    if not attributes.get("refunded_at"):
        shop.program.override("points_redemptions", int(id), shop.now, refunded_at=shop.now)
        credits = float(attributes["credits_amount"] or 0)
        points = attributes["points_amount"] or 0
        _post(shop, attributes["customer"]["id"], int(id), points, credits, "Refunded a Reward")
    return shop.object("points_redemptions", int(id))


def create_referral(shop: Shop, fields: Fields) -> Object:
    """Record that a friend, `email`, was invited by the customer with the `referral_code`."""
    email, referral_code = _needed(fields, "email"), _needed(fields, "referral_code")
    ip = _needed(fields, "remote_ip")
    advocate = next((each for each in _customers(shop) if each["referral_code"] == referral_code), None)
    if advocate is None:
        raise Refused(404, "Could not find a customer with that referral code.")
    if email.lower() == (advocate["email"] or "").lower():
        raise Refused(422, "Customers cannot refer themselves.")
    rows = [each["attributes"] for each in shop.view.objects("referrals")]
    if any((each.get("referred_email") or "").lower() == email.lower() for each in rows):
        raise Refused(422, "This friend was referred before.")
    attributes: Attributes = {
        "status": "blocked" if any(each.get("signup_ip") == ip for each in rows) else "unclaimed",
        "advocate_email": advocate["email"],
        "referrer_customer_id": advocate["id"],
        "referrer_customer": {"id": advocate["id"]},
        "referred_email": email,
        "signup_ip": ip,
    }
    if attributes["status"] == "blocked":
        attributes["block_reason"] = "ip_already_used"
    return shop.object("referrals", shop.program.insert("referrals", attributes, shop.now))


def update_customer(shop: Shop, identifier: str, fields: Fields) -> Object:
    """Change a customer's day of birth; other fields are ignored."""
    customer = shop.customer(identifier)
    if (dob := fields.get("dob")) is not None:
        if not re.fullmatch(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", str(dob)):
            raise Refused(422, "Dob must be MM-DD.")
        shop.program.override("customers", customer["id"], shop.now, dob=dob, dob_last_updated_at=shop.now)
    return shop.object("customers", customer["id"])


def set_vip_tier(shop: Shop, identifier: str, fields: Fields) -> Object:
    """Move a customer to a tier."""
    customer = shop.customer(identifier)
    tier_id = _whole({"vip_tier_id": _needed(fields, "vip_tier_id")}, "vip_tier_id")
    if tier_id not in shop.view.tier_cards:
        raise Refused(404, "Could not find a VIP tier with that ID.")
    _refuse_status(customer, "excluded", "guest")
    if not shop.recalculates_tiers:
        view = shop.view
        shop.program.override(
            "customers",
            customer["id"],
            shop.now,
            vip_tier=view.tier_cards[tier_id],
            next_vip_tier=view.next_tier_cards.get(tier_id),
        )
        before = (customer["vip_tier"] or {}).get("id")
        if before != tier_id:
            moved = shop.object("customers", customer["id"])["attributes"]
            shop.events.append(tier_event(view, moved, before, tier_id, shop.now))
    return shop.object("customers", customer["id"])


CREATING: Mapping[str, Callable[[Shop, Fields], Object | list[Object]]] = {
    "points_events": add_points,
    "points_events/batch": add_points_in_batch,
    "points_redemptions": redeem,
    "referrals": create_referral,
}
"""POST, by path."""
CHANGING: Mapping[tuple[str, str, str], Callable[[Shop, str, Fields], Object]] = {
    ("POST", "points_redemptions", "refund"): refund,
    ("POST", "customers", "vip_tier"): set_vip_tier,
    ("PUT", "customers", ""): update_customer,
}
"""Calls on one row, by method, list and the part of the path after the row's id."""


def write(shop: Shop, method: str, path: str, fields: Fields) -> tuple[int, Object | list[Object]]:
    """Carry a call out; `path` is below the API's base. Returns status and object.

    Raises:
        Refused: the call, or a field of it, is wrong.
    """
    if method == "POST" and path in CREATING:
        return 201, CREATING[path](shop, fields)
    name, _, rest = path.partition("/")
    identifier, _, what = rest.partition("/")
    call = CHANGING.get((method, name, what))
    if call is None or not identifier:
        raise Refused(405, "Method not allowed")
    return (201 if method == "POST" else 200), call(shop, identifier, fields)


def _post(shop: Shop, customer_id: int, redemption_id: int, points: int, credits: float, title: str) -> None:
    """Add the ledger entry of a redemption or of its refund."""
    attributes: Attributes = {
        "customer": {"id": customer_id},
        "source": "points_purchase",
        "title": title,
        "points_diff": points,
        "credits_amount": f"{abs(credits)}",
        "points_purchases_id": redemption_id,
        "sourceable_id": redemption_id,
    }
    if credits > 0:
        # The source alone would mean that credits were spent.
        attributes["credits_diff"] = f"{credits}"
    _insert(shop, "points_events", attributes)


_TOPICS = {"points_events": POINTS, "points_redemptions": REDEMPTION}


def _insert(shop: Shop, name: str, attributes: Attributes) -> int:
    """Add a row that a webhook reports."""
    id = shop.program.insert(name, attributes, shop.now)
    shop.events.append(Event(_TOPICS[name], shop.object(name, id)["attributes"]))
    return id


def _price(reward: Attributes, fields: Fields) -> tuple[int, float]:
    """Return the points and credits that a reward costs; the caller chooses how much an incremental one costs."""
    amount = reward["points_amount"] or 0
    if reward["points_type"] == "incremental":
        given = _whole(fields, "points_amount") or _number(fields, "credits_amount")
        amount = given or amount
        if amount < (reward["min_points_to_redeem_value"] or 0):
            raise Refused(422, "The amount is below the reward's minimum.")
    return (0, float(amount)) if reward["source"] == "credits" else (int(amount), 0.0)


def _customers(shop: Shop) -> list[Attributes]:
    return [each["attributes"] for each in shop.view.objects("customers")]


def _refuse_status(customer: Attributes, *statuses: str) -> None:
    if customer["loyalty_status"] in statuses:
        raise Refused(422, f"The customer is {customer['loyalty_status']}.")


def _needed(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if value in (None, ""):
        raise Refused(422, f"{name} is required.")
    return str(value)


def _whole(fields: Fields, name: str) -> int:
    number = _number(fields, name)
    if number != int(number):
        raise Refused(422, f"{name} must be a whole number.")
    return int(number)


def _number(fields: Fields, name: str) -> float:
    try:
        return float(fields.get(name) or 0)
    except (TypeError, ValueError):
        raise Refused(422, f"{name} must be a number.") from None


def _moment(given: Any) -> datetime:
    if isinstance(given, datetime):
        return given
    try:
        return parse(str(given))
    except ValueError:
        raise Refused(422, "applied_at must be a time.") from None


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("true", "1")

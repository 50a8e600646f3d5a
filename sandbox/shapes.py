"""Converts rows of the simulation to the attributes that the API answers, including its oddities."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any, Protocol
from zlib import crc32

from sandbox.clock import YEAR, display_date, iso
from sandbox.rows import Attributes, Customer, Event, Redemption, Reward, Row, State

SHOP_ID = 68_112_345


class Lens(Protocol):
    """What a shape needs to know about the moment it shows."""

    t: int
    legacy_keys: bool
    tier_cards: dict[int, Attributes]
    next_tier_cards: dict[int | None, Attributes | None]


def chance(*what: object) -> float:
    """Return a number in [0, 1) that depends on the arguments alone."""
    return crc32(":".join(map(str, what)).encode()) / 2**32


def decimal(cents: int, wide: bool = True) -> str:
    """Format credits as text of varying scale: "0.0", "25.50" or "25.5", "1000.0"."""
    cents = abs(cents)
    if cents % 100 == 0:
        return f"{cents // 100}.0"
    if cents % 10 == 0 and not wide:
        return f"{cents // 100}.{cents % 100 // 10}"
    return f"{cents // 100}.{cents % 100:02}"


def money(cents: int) -> int | float:
    """Convert cents to a number: 290.16, and 0 without a fraction."""
    return cents / 100 if cents % 100 else cents // 100


def _blank(names: str) -> Attributes:
    return dict.fromkeys(names.split())


# Every documented attribute of a list, in the API's order, with its default.
TEMPLATES: dict[str, Attributes] = {
    "customers": _blank(
        "id email first_name last_name accepts_marketing orders_count verified_email total_spent shopify_tags "
        "loyalty_status loyalty_status_last_changed_at points_tally credits_tally points_expire_at "
        "credits_expire_at dob dob_last_updated_at referral_url referral_code vip_tier next_vip_tier "
        "lifetime_earnings_tally completed_earning_rule_ids remote_updated_at"
    ),
    "points_events": _blank(
        "id points_amount points_diff credits_amount applied_at approved_at occurred_at expires_at "
        "per_event_expiration_at revoked_at hidden source sourceable_id order_id earning_rule_id "
        "points_purchases_id custom_action_name title external_note internal_note customer"
    ),
    "points_redemptions": _blank(
        "id code name points_amount points_diff credits_amount applied_at expires_at used_at refunded_at "
        "revoked_at source reward_id purchase_type referred_email variant_ids formatted_store_credit_amount "
        "terms_of_service reward customer"
    )
    | {"purchase_type": "one_time"},
    "referrals": _blank(
        "id status status_last_changed_at created_at updated_at claimed_at completed_at advocate_email "
        "referred_email referrer_customer_id referred_customer_id referrer_customer referred_customer "
        "referrer_discount_code referrer_discount_code_used_at referred_discount_code "
        "referred_discount_code_used_at referrer_order_id referred_order_id referral_campaign_id "
        "advocate_reward_status block_reason additional_details signup_ip visitor_token"
    ),
    "vip_tiers": _blank("id name threshold perks icon_url desc rewards created_at updated_at")
    | {"perks": [], "rewards": []},
    "rewards": _blank(
        "id name enabled points_amount points_type reward_type source reward_value pretty_display_rewards "
        "min_order_value_in_cents min_order_quantity expiry_months redeemed_count purchase_type "
        "recurring_cycle_limit icon_url product_id variant_ids customer_points_get increment_points_value "
        "max_points_to_spend_value min_points_to_redeem_value terms_of_service created_at updated_at"
    )
    | {"enabled": True, "points_type": "fixed", "source": "points", "purchase_type": "one_time"},
    "earning_rules": _blank(
        "id title name description status trigger points_amount credits_amount balance_amount points_type "
        "currency_base_amount pretty_earnings_text url button_text custom_action_name card_click_method "
        "hidden_from_ui multipliers multi_balance_settings_by_tiers icon_url automation_id step_id"
    ),
}

# Attributes with a date and time.
TIMES: dict[str, tuple[str, ...]] = {
    "points_events": (
        "applied_at",
        "approved_at",
        "occurred_at",
        "expires_at",
        "per_event_expiration_at",
        "revoked_at",
    ),
    "points_redemptions": ("applied_at", "expires_at", "used_at", "refunded_at", "revoked_at"),
    "referrals": (
        "status_last_changed_at",
        "created_at",
        "updated_at",
        "claimed_at",
        "completed_at",
        "referred_discount_code_used_at",
    ),
    "vip_tiers": ("created_at", "updated_at"),
    "rewards": ("created_at", "updated_at"),
    "earning_rules": (),
}

# list -> (n, attributes): one row in n lacks these attributes.
ABSENT: dict[str, tuple[int, tuple[str, ...]]] = {
    "customers": (13, ("dob_last_updated_at", "credits_expire_at", "next_vip_tier")),
    "points_events": (11, ("hidden", "custom_action_name", "external_note", "per_event_expiration_at")),
    "points_redemptions": (9, ("terms_of_service", "variant_ids", "referred_email", "points_diff")),
    "referrals": (
        4,
        (
            "claimed_at",
            "completed_at",
            "updated_at",
            "status_last_changed_at",
            "referrer_customer",
            "referrer_customer_id",
            "referred_customer",
            "referred_customer_id",
            "additional_details",
            "block_reason",
        ),
    ),
    "rewards": (5, ("recurring_cycle_limit", "customer_points_get")),
    "earning_rules": (7, ("automation_id", "step_id")),
}

LEGACY = {
    "points_tally": "loyalty_points_tally",
    "loyalty_status_last_changed_at": "loyalty_status_last_updated_at",
}


def _moment(ms: int, id: int) -> str:
    # Some rows have ".000" after whole seconds, others have not.
    return iso(ms, fraction=bool(ms % 1000) or id % 3 != 0)


def _stamp(name: str, attrs: Attributes, id: int) -> None:
    for key in TIMES[name]:
        value = attrs.get(key)
        if value is not None:
            attrs[key] = _moment(value, id)


def _drop_keys(name: str, attrs: Attributes, id: int) -> Attributes:
    every, keys = ABSENT.get(name, (0, ()))
    if every and id % every == 0:
        for key in keys:
            # A ledger entry only loses empty attributes: tallies must remain computable.
            if name != "points_events" or not attrs.get(key):
                attrs.pop(key, None)
    return attrs


def state_at(customer: Customer, t: int) -> State:
    """Return the state of a customer at a moment."""
    log = customer.log
    if log[-1].at <= t:
        return log[-1]
    return log[max(0, bisect_right(log, t, key=lambda state: state.at) - 1)]


def _total_spent(customer: Customer, state: State) -> int | float | None:
    return None if not state.orders and customer.id % 4 == 0 else money(state.spent)


def customer_card(customer: Customer, state: State) -> Attributes:
    """Return the nested customer of events and redemptions, as it was when the row was created."""
    return {
        "id": customer.id,
        "email": customer.email,
        "total_spent": _total_spent(customer, state),
        "orders_count": state.orders,
        "points_tally": state.points,
        "credits_tally": decimal(state.credits),
        "loyalty_status": state.status,
    }


def customer(row: Customer, lens: Lens) -> Attributes:
    """Return the attributes of a row of /customers."""
    state = state_at(row, lens.t)
    tier = state.tier
    has_expiry = state.active_at is not None and state.points > 0
    attrs: Attributes = {
        "id": row.id,
        "email": row.email,
        "first_name": row.first_name,
        "last_name": row.last_name,
        "accepts_marketing": state.marketing,
        "orders_count": state.orders,
        "verified_email": row.id % 5 != 0,
        "total_spent": _total_spent(row, state),
        "shopify_tags": None if state.tags is None else list(state.tags),
        "loyalty_status": state.status,
        "loyalty_status_last_changed_at": None
        if state.status_at is None
        else _moment(state.status_at, row.id),
        "points_tally": state.points,
        "credits_tally": ("-" if state.credits < 0 else "") + decimal(state.credits, row.id % 2 == 0),
        "points_expire_at": display_date((state.active_at or 0) + YEAR) if has_expiry else None,
        "credits_expire_at": None,
        "dob": state.dob,
        "dob_last_updated_at": None if state.dob_at is None else _moment(state.dob_at, row.id),
        "referral_url": f"https://store.example/?ref={row.code}",
        "referral_code": row.code,
        "vip_tier": None if tier is None else lens.tier_cards.get(tier),
        # Null for most customers, even if there are higher tiers.
        "next_vip_tier": lens.next_tier_cards.get(tier) if row.id % 5 < 2 else None,
        "lifetime_earnings_tally": None if row.id % 3 == 0 else state.earned,
        "completed_earning_rule_ids": list(state.done),
        "remote_updated_at": _moment(state.remote_at, row.id),
    }
    return _drop_keys("customers", attrs, row.id)


def points_event(row: Event, lens: Lens) -> Attributes:
    """Return the attributes of a row of /points_events."""
    attrs = {**TEMPLATES["points_events"], **row.as_of(lens.t)}
    # In some rows the id is [shop id, event id].
    attrs["id"] = [SHOP_ID, row.id] if row.id % 5 == 0 else row.id
    attrs["points_amount"] = abs(row.points)
    attrs["points_diff"] = row.points
    attrs["credits_amount"] = decimal(row.credits)
    implied = -1 if attrs["source"] == "points_purchase" else 1
    if row.credits and (row.credits * implied < 0 or row.id % 2 == 0):
        attrs["credits_diff"] = ("-" if row.credits < 0 else "") + decimal(row.credits)
    if attrs["hidden"] is None and row.id % 2:
        attrs["hidden"] = False
    attrs["customer"] = customer_card(row.customer, row.state)
    _stamp("points_events", attrs, row.id)
    return _drop_keys("points_events", attrs, row.id)


def redemption(row: Redemption, lens: Lens) -> Attributes:
    """Return the attributes of a row of /points_redemptions."""
    attrs = {**TEMPLATES["points_redemptions"], **row.as_of(lens.t), "id": row.id, "reward_id": row.reward_id}
    attrs["credits_amount"] = decimal(attrs.pop("credits"))
    card = {**TEMPLATES["rewards"], **row.reward, "id": row.reward_id}
    attrs["variant_ids"] = card["variant_ids"]
    attrs["reward"] = {key: card[key] for key in REWARD_CARD}
    attrs["customer"] = customer_card(row.customer, row.state)
    _stamp("points_redemptions", attrs, row.id)
    return _drop_keys("points_redemptions", attrs, row.id)


REWARD_CARD = (
    "id",
    "name",
    "source",
    "enabled",
    "points_type",
    "reward_type",
    "reward_value",
    "points_amount",
    "min_order_value_in_cents",
    "expiry_months",
)
"""Attributes of a reward that its redemptions repeat."""


def _plain(name: str) -> Callable[[Row, Lens], Attributes]:
    def shape(row: Row, lens: Lens) -> Attributes:
        attrs = {**TEMPLATES[name], **row.as_of(lens.t), "id": row.id}
        _stamp(name, attrs, row.id)
        return _drop_keys(name, attrs, row.id)

    return shape


def reward(row: Reward, lens: Lens) -> Attributes:
    """Return the attributes of a row of /rewards, with the number of claims up to now."""
    attrs = _plain("rewards")(row, lens)
    attrs["redeemed_count"] = bisect_right(row.claims, lens.t)
    attrs["pretty_display_rewards"] = attrs["name"]
    attrs["terms_of_service"] = {
        "reward_type": attrs["reward_type"],
        "applies_to": "entire_order",
        "show_tos": False,
    }
    return attrs


def earning_rule(row: Row, lens: Lens) -> Attributes:
    """Return the attributes of a row of /earning_rules. If the rule was never set up, all are null, even the id."""
    attrs = _plain("earning_rules")(row, lens)
    attrs.pop("created_at", None)
    attrs.pop("updated_at", None)
    if not row.attrs.get("trigger"):
        attrs["id"] = None
    elif attrs["title"] is not None:
        attrs |= {"credits_amount": "0.0" if row.id % 2 else 0, "balance_amount": attrs["points_amount"]}
        attrs |= {"multipliers": [], "multi_balance_settings_by_tiers": {}, "hidden_from_ui": False}
        attrs["points_type"] = attrs["points_type"] or "fixed"
    return attrs


def tier_card(attrs: Attributes) -> Attributes:
    """Return a tier as it is nested in a customer."""
    return {key: attrs[key] for key in ("id", "name", "threshold", "perks")}


SHAPES: dict[str, Callable[[Any, Any], Attributes]] = {
    "customers": customer,
    "points_events": points_event,
    "points_redemptions": redemption,
    "referrals": _plain("referrals"),
    "vip_tiers": _plain("vip_tiers"),
    "rewards": reward,
    "earning_rules": earning_rule,
}


def rename_legacy(attrs: Attributes) -> Attributes:
    """Rename a customer's attributes to those of an older version of the API."""
    return {LEGACY.get(key, key): value for key, value in attrs.items()}

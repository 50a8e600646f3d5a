"""The shop's tiers, rewards and earning rules, and how staff change them over time.

`share` is a position in the history: 0 is its start, 1 its end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sandbox.options import ProgramOptions
from sandbox.rows import Attributes


class Item(NamedTuple):
    """A row of a small list. `key` is its name in the simulation."""

    key: str
    id: int
    attrs: Attributes
    appears: float | None = None  # None: before the history began


class Change(NamedTuple):
    """A change by staff. If `attrs` is None, the row is deleted."""

    list: str
    key: str
    share: float
    attrs: Attributes | None


def _tier(key: str, id: int, threshold: int, perks: list[str]) -> Item:
    return Item(key, id, {"name": key.capitalize(), "threshold": threshold, "perks": perks})


TIERS = (
    _tier("bronze", 552_270, 200, []),
    _tier("silver", 552_288, 500, []),
    _tier("gold", 552_301, 1_200, ["Early access to sales"]),
    _tier("platinum", 552_340, 4_000, ["Early access to sales", "Free express shipping", "Birthday gift"]),
)

# Bonus points of an upgrade to each tier, in the order of TIERS.
TIER_BONUS = (0, 50, 100, 250)


def _reward(key: str, id: int, name: str, kind: str, points: int, value: float, **more: Any) -> Item:
    appears = more.pop("appears", None)
    return Item(
        key,
        id,
        {"name": name, "reward_type": kind, "points_amount": points, "reward_value": value, **more},
        appears,
    )


_VARIABLE = {"points_type": "incremental", "customer_points_get": "variable_amount"}

REWARDS = (
    _reward("five", 594_100, "$5 off coupon", "fixed_amount", 100, 5.0, expiry_months=3),
    _reward("ten", 594_112, "$10 off coupon", "fixed_amount", 200, 10.0, min_order_value_in_cents=3_000),
    _reward("quarter", 594_125, "$25 off coupon", "fixed_amount", 450, 25.0, expiry_months=6),
    _reward("percent", 594_131, "15% off", "percentage", 300, 15.0, expiry_months=1),
    _reward("shipping", 594_140, "Free shipping", "free_shipping", 150, 0.0, expiry_months=3),
    _reward(
        "tote",
        594_148,
        "Free tote bag",
        "free_product",
        350,
        0.0,
        product_id=8_012_345_678_901,
        variant_ids=[43_812_345_678_901],
    ),
    _reward("credit", 594_155, "Store Credit", "fixed_amount", 1, 1.0, source="credits", **_VARIABLE),
    _reward(
        "slider",
        594_170,
        "Coupon of your choice",
        "fixed_amount",
        100,
        4.0,
        increment_points_value=10,
        min_points_to_redeem_value=100,
        max_points_to_spend_value=1_000,
        expiry_months=3,
        **_VARIABLE,
    ),
    _reward("advocate", 594_176, "Friend's thank-you", "fixed_amount", 0, 10.0, source="referrer"),
    _reward("swap", 594_182, "Points for store credit", "points_to_credit", 250, 12.5, appears=0.2),
    _reward("gift", 594_196, "$50 gift card", "gift_card", 1_000, 50.0, appears=0.55),
    # So dear that no customer ever claims it.
    _reward("weekend", 594_205, "Weekend for two", "free_product", 60_000, 0.0, appears=0.5),
)


def _rule(key: str, id: int, title: str, points: int | None, **more: Any) -> Item:
    appears = more.pop("appears", None)
    attrs = {"title": title, "name": title, "trigger": key, "status": "active", "points_amount": points}
    return Item(key, id, {**attrs, **more}, appears)


RULES = (
    _rule("customer_member_enabled", 628_300, "Create an account", 100),
    _rule(
        "order_placed",
        628_312,
        "Place an order",
        2,
        points_type="multiplier",
        currency_base_amount=1,
        pretty_earnings_text="2 Points for every $1 spent",
    ),
    _rule("customer_birthday", 628_320, "Celebrate a birthday", 150),
    _rule("instagram_follow", 628_326, "Follow on Instagram", 25, url="https://instagram.com/store"),
    _rule("tiktok_follow", 628_333, "Follow on TikTok", 25, url="https://tiktok.com/@store"),
    _rule("facebook_like", 628_340, "Like on Facebook", 25, url="https://facebook.com/store"),
    _rule("review_complete", 628_352, "Leave a review", 40),
    _rule("referral_complete", 628_361, "Refer a friend", 250),
    _rule("vip_tier_upgrade", 628_377, "Reach a new tier", 0),
    _rule("custom_action", 628_384, "Download our app", 50, custom_action_name="app_download"),
    # Rules that were never set up: some attributes null, or all.
    Item("twitter_follow", 628_391, {"trigger": "twitter_follow", "points_amount": 25, "status": "disabled"}),
    Item("facebook_share", 628_398, {"trigger": "facebook_share"}),
    Item("null", 628_404, {}),
    _rule("visit_url", 628_420, "Read our story", 10, url="https://store.example/story", appears=0.5),
)

CHANGES = (
    Change("vip_tiers", "gold", 0.3, {"threshold": 1_500}),
    Change("vip_tiers", "silver", 0.93, {"name": "Sterling"}),
    Change("rewards", "shipping", 0.4, {"name": "Free express shipping"}),
    Change("rewards", "ten", 0.5, {"points_amount": 250}),
    Change("rewards", "percent", 0.7, {"enabled": False}),
    Change("rewards", "tote", 0.88, None),
    Change(
        "earning_rules",
        "order_placed",
        0.45,
        {"points_amount": 3, "pretty_earnings_text": "3 Points for every $1 spent"},
    ),
    Change("earning_rules", "facebook_like", 0.6, {"status": "disabled"}),
)


def items(options: ProgramOptions) -> dict[str, tuple[Item, ...]]:
    """Return the small lists of a shop with these options."""
    rewards: tuple[Item, ...] = REWARDS
    if options.credits_only:
        rewards = tuple(item for item in REWARDS if item.attrs.get("source") == "credits")
    return {
        "vip_tiers": TIERS if options.has_tiers else (),
        "rewards": rewards,
        "earning_rules": RULES,
    }

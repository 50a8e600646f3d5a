"""The table of Rivo's seven "Get List of ..." endpoints: paths, columns, and how each is kept in sync.

The facts are those of Rivo's developer documentation (reference: pagination, customers, points_events,
points_redemptions, rewards) and of what clients saw in real answers. Column names are Rivo's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["bigint", "id", "text", "scalar", "bool", "timestamp", "decimal", "double", "json"]
"""What a JSON value must be. `id` also takes digits in quotes and `scalar` takes text, numbers and booleans:
for attributes whose JSON type is documented nowhere."""

Personal = Literal["email", "name", "birthday", "link", "network", "tags", "note", "details"]
"""What a column tells of a person: see `pipelines.rivo.personal` for what becomes of each."""

DUCKDB_TYPES: dict[ColumnType, str] = {
    "bigint": "BIGINT",
    "id": "BIGINT",
    "text": "VARCHAR",
    "scalar": "VARCHAR",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    # Four places: no currency has more. Never floating point.
    "decimal": "DECIMAL(18,4)",
    "double": "DOUBLE",
    "json": "JSON",
}


@dataclass(frozen=True)
class Column:
    """One column of a raw table.

    `attribute` is the attribute that it reads (default: the column's own name), `aliases` are former names of
    that, used where the present one is absent. `fallback` names a nested object whose id is taken where the
    attribute itself gives null. `volatile` columns are nested snapshots that may differ from one answer
    to the next although the row itself did not change.

    For attributes that this release does not declare: `lenient` columns leave null what does not fit their
    type, rather than setting the row apart; a second column with `misfit_of` that type takes just these values.

    `personal` says what a column tells of a person, and `about` the columns with the ids of those it is about.
    `nested` is the list whose objects a column of type json holds. `is_customer` marks the customers' ids.
    """

    name: str
    type: ColumnType
    description: str
    attribute: str | None = None
    aliases: tuple[str, ...] = ()
    fallback: str | None = None
    required: bool = False
    volatile: bool = False
    lenient: bool = False
    misfit_of: ColumnType | None = None
    personal: Personal | None = None
    about: tuple[str, ...] = ()
    nested: str | None = None
    is_customer: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The attributes of an object of the API from which this column may take its value."""
        own = self.name if self.attribute is None else self.attribute
        return (own, *self.aliases, *((self.fallback,) if self.fallback else ()))


@dataclass(frozen=True)
class Endpoint:
    """One list: where it is, what its rows hold, and how it is kept in sync.

    `reading` is 'full' (read whole every time) or 'cursor' (from the smallest id that can still change).
    `open_rows` is, for cursor lists, a SQL condition over the raw table that holds for the rows that may have
    changed since they were last read; it may also use the instants `lookback_start` (RIVO_LOOKBACK_DAYS before it)
    and `floor_start` (180 days before it). `history` names the columns tracked as SCD2 in `<name>_history`.
    """

    name: str
    title: str
    path: str
    description: str
    docs_url: str
    reading: Literal["full", "cursor"]
    columns: tuple[Column, ...]
    history: tuple[str, ...] = ()
    open_rows: str = ""


META_COLUMNS: tuple[Column, ...] = (
    Column("_first_seen_at", "timestamp", "Observation time of the first sync that saw this row."),
    Column("_last_seen_at", "timestamp", "Observation time of the last sync that read this row."),
    Column("_deleted_at", "timestamp", "Observation time of the complete read that no longer held this row."),
)

_ID = Column("id", "id", "Rivo's id of the row (the resource-level one).", required=True)
_CREATED = Column("created_at", "timestamp", "When Rivo created the row.")
_UPDATED = Column("updated_at", "timestamp", "When Rivo last updated the row.")
_CUSTOMER = (
    Column("customer_id", "id", "The customer (Shopify id).", fallback="customer", is_customer=True),
    Column(
        "customer",
        "json",
        "The customer as nested in the answer; may be stale, never a balance.",
        volatile=True,
        nested="customers",
    ),
)

CUSTOMERS = Endpoint(
    name="customers",
    title="Customers",
    path="/customers",
    description="Shopify customers with their loyalty status, tallies and VIP tier, as Rivo shows them now.",
    docs_url="https://developer-docs.rivo.io/reference/customers-1",
    reading="full",
    columns=(
        Column("id", "id", "Shopify's customer id.", required=True, is_customer=True),
        Column("email", "text", "E-mail address.", personal="email", about=("id",)),
        Column("first_name", "text", "First name.", personal="name", about=("id",)),
        Column("last_name", "text", "Last name.", personal="name", about=("id",)),
        Column("accepts_marketing", "bool", "Whether the customer accepts marketing."),
        Column("orders_count", "bigint", "Number of orders, as Shopify counts them."),
        Column("verified_email", "bool", "Whether the e-mail address is verified."),
        Column("total_spent", "decimal", "Money spent so far, in the shop's currency."),
        Column("shopify_tags", "json", "Shopify's tags, an array of text.", personal="tags", about=("id",)),
        Column("loyalty_status", "text", "'member', 'guest', or another state."),
        Column(
            "loyalty_status_last_changed_at",
            "timestamp",
            "When the loyalty status last changed.",
            aliases=("loyalty_status_last_updated_at",),
        ),
        Column(
            "points_tally", "bigint", "Points balance by Rivo's count.", aliases=("loyalty_points_tally",)
        ),
        Column("credits_tally", "decimal", "Store credit balance by Rivo's count."),
        Column("points_expire_at", "text", "When the points expire, as display text: 'May 02, 2026'."),
        Column("credits_expire_at", "scalar", "When the credits expire, as Rivo shows it."),
        Column("dob", "text", "Birthday as MM-DD.", personal="birthday", about=("id",)),
        Column("dob_last_updated_at", "scalar", "When the birthday was last changed."),
        Column("referral_url", "text", "The customer's referral link.", personal="link", about=("id",)),
        Column("referral_code", "text", "The customer's referral code.", personal="link", about=("id",)),
        Column("vip_tier_id", "id", "Id of the VIP tier held now; null for none.", fallback="vip_tier"),
        Column(
            "vip_tier",
            "json",
            "The VIP tier held now, as nested in the answer.",
            volatile=True,
            nested="vip_tiers",
        ),
        Column(
            "next_vip_tier",
            "json",
            "The next tier as nested; null even where higher tiers exist.",
            volatile=True,
            nested="vip_tiers",
        ),
        Column("lifetime_earnings_tally", "bigint", "Points earned over the lifetime; null = not returned."),
        Column("completed_earning_rule_ids", "json", "Ids of the earning rules completed, an array."),
        Column("remote_updated_at", "timestamp", "When Shopify last updated the customer."),
    ),
    history=(
        "vip_tier_id",
        "loyalty_status",
        "points_tally",
        "credits_tally",
        "orders_count",
        "total_spent",
        "points_expire_at",
    ),
)

POINTS_EVENTS = Endpoint(
    name="points_events",
    title="Points Events",
    path="/points_events",
    description="The ledger of points and store credits: one row an event, earned, spent, expired or adjusted.",
    docs_url="https://developer-docs.rivo.io/reference/points_events",
    reading="cursor",
    open_rows="coalesce(applied_at, occurred_at) >= lookback_start",
    columns=(
        _ID,
        Column("points_amount", "bigint", "Points moved, a magnitude without sign."),
        Column("points_diff", "bigint", "Points moved, signed. 0 is a value.", required=True),
        Column("credits_amount", "decimal", "Credits moved; over REST without a reliable sign."),
        Column("credits_diff", "decimal", "Credits moved, signed, where the API sends it."),
        Column("applied_at", "timestamp", "When the event counts from; callers may back-date it."),
        Column("approved_at", "timestamp", "When a pending event was approved."),
        Column("occurred_at", "timestamp", "When the event occurred."),
        Column("expires_at", "timestamp", "When the points of this event expire."),
        Column("per_event_expiration_at", "timestamp", "Expiry of this very event, where set."),
        Column("revoked_at", "timestamp", "When the event was taken back; the row stays."),
        Column("hidden", "bool", "Whether the event is hidden from the customer."),
        Column("source", "text", "What caused the event: order_placed, points_purchase, manual, ..."),
        Column("sourceable_id", "scalar", "Id of what caused the event."),
        Column("order_id", "scalar", "The order, for events caused by one."),
        Column("earning_rule_id", "id", "The earning rule applied."),
        Column("points_purchases_id", "id", "The redemption paid by this event (inferred)."),
        Column("custom_action_name", "text", "Name of the custom action."),
        Column("title", "text", "Title as shown to the customer."),
        Column(
            "external_note", "text", "Note shown to the customer.", personal="note", about=("customer_id",)
        ),
        Column(
            "internal_note",
            "text",
            "Note for staff; holds staff e-mail addresses, stays in rivo_raw.",
            personal="note",
            about=("customer_id",),
        ),
        *_CUSTOMER,
    ),
)

POINTS_REDEMPTIONS = Endpoint(
    name="points_redemptions",
    title="Points Redemptions",
    path="/points_redemptions",
    description="Rewards claimed: one row a discount code, with what it cost and what became of it.",
    docs_url="https://developer-docs.rivo.io/reference/points_redemptions",
    reading="cursor",
    open_rows=(
        "used_at is null and revoked_at is null and (expires_at is null or expires_at >= _last_seen_at)"
        " and (applied_at is null or applied_at >= floor_start)"
    ),
    columns=(
        _ID,
        Column("code", "text", "The discount code."),
        Column("name", "text", "What was redeemed, as shown: '$25.50 off coupon'."),
        Column("points_amount", "bigint", "Points spent, a magnitude."),
        Column("points_diff", "bigint", "Points moved, signed."),
        Column("credits_amount", "decimal", "Credits spent, a magnitude."),
        Column("applied_at", "timestamp", "When the reward was claimed."),
        Column("expires_at", "timestamp", "When the code expires."),
        Column("used_at", "timestamp", "When the code was used in an order."),
        Column("refunded_at", "timestamp", "When points were given back."),
        Column("revoked_at", "timestamp", "When the redemption was taken back."),
        Column("source", "text", "What it was paid from."),
        Column("reward_id", "id", "The reward claimed.", fallback="reward"),
        Column("purchase_type", "text", "One-time or subscription purchases."),
        Column("referred_email", "text", "The friend's address, for referral rewards.", personal="email"),
        Column("variant_ids", "json", "Product variants the reward applies to, an array."),
        Column("formatted_store_credit_amount", "text", "Store credit as display text."),
        Column("terms_of_service", "json", "Terms shown with the reward."),
        Column(
            "reward",
            "json",
            "The reward as nested in the answer: its terms when claimed.",
            volatile=True,
            nested="rewards",
        ),
        *_CUSTOMER,
    ),
)

REWARDS = Endpoint(
    name="rewards",
    title="Rewards",
    path="/rewards",
    description="The rewards that points or credits buy, with their price and value.",
    docs_url="https://developer-docs.rivo.io/reference/rewards-1",
    reading="full",
    columns=(
        _ID,
        Column("name", "text", "Name of the reward."),
        Column("enabled", "bool", "Whether it can be claimed."),
        Column("points_amount", "bigint", "Price in points (of one increment, for incremental rewards)."),
        Column("points_type", "text", "'fixed' or incremental."),
        Column(
            "reward_type",
            "text",
            "fixed_amount, percentage, free_shipping, free_product, gift_card, points_to_credit.",
        ),
        Column("source", "text", "Paid from 'points', 'credits', or given to a 'referrer'."),
        Column("reward_value", "decimal", "Value: money, percent, or money an increment."),
        Column("pretty_display_rewards", "text", "Value as display text."),
        Column("min_order_value_in_cents", "bigint", "Smallest order it applies to, in cents."),
        Column("min_order_quantity", "bigint", "Smallest number of items."),
        Column("expiry_months", "bigint", "Months until a code expires."),
        Column("redeemed_count", "bigint", "Claims so far, by Rivo's count."),
        Column("purchase_type", "text", "One-time or subscription purchases."),
        Column("recurring_cycle_limit", "bigint", "Subscription cycles it applies to."),
        Column("icon_url", "text", "Icon."),
        Column("product_id", "scalar", "The free product."),
        Column("variant_ids", "json", "Variants of the free product, an array."),
        Column("customer_points_get", "bigint", "Points given by the reward."),
        Column("increment_points_value", "bigint", "Points of one increment."),
        Column("max_points_to_spend_value", "bigint", "Most points one claim may spend."),
        Column("min_points_to_redeem_value", "bigint", "Fewest points one claim may spend."),
        Column("terms_of_service", "json", "Terms shown with the reward."),
        _CREATED,
        _UPDATED,
    ),
    history=(
        "name",
        "enabled",
        "points_amount",
        "points_type",
        "reward_type",
        "source",
        "reward_value",
        "min_order_value_in_cents",
        "expiry_months",
    ),
)

VIP_TIERS = Endpoint(
    name="vip_tiers",
    title="VIP Tiers",
    path="/vip_tiers",
    description="The VIP tiers and the thresholds at which they are entered.",
    docs_url="https://developer-docs.rivo.io/reference/vip-tiers-1",
    reading="full",
    columns=(
        _ID,
        Column("name", "text", "Name of the tier; may be changed by the merchant."),
        Column("threshold", "decimal", "Points, money or orders at which it is entered; Rivo sends no unit."),
        Column("perks", "json", "Perks, an array."),
        Column("icon_url", "text", "Icon."),
        Column("desc", "text", "Description."),
        Column("rewards", "json", "Rewards given on entry, an array."),
        Column("deleted_at", "timestamp", "When Rivo deleted the tier, where it says so."),
        _CREATED,
        _UPDATED,
    ),
    history=("name", "threshold"),
)

EARNING_RULES = Endpoint(
    name="earning_rules",
    title="Earning Rules",
    path="/earning_rules",
    description="The ways to earn. Holds partly-null rows for rules that were never set up.",
    docs_url="https://developer-docs.rivo.io/reference/earning-rules",
    reading="full",
    columns=(
        _ID,
        Column("title", "text", "Title as shown."),
        Column("name", "text", "Name."),
        Column("description", "text", "Description."),
        Column("status", "text", "'active' or 'disabled'; null for rules never set up."),
        Column("trigger", "text", "What triggers it: order_placed, customer_birthday, ..."),
        Column("points_amount", "decimal", "Points given, or points a currency unit for multipliers."),
        Column("credits_amount", "decimal", "Credits given."),
        Column("balance_amount", "decimal", "Amount given, in the unit the rule uses."),
        Column("points_type", "text", "'fixed' or 'multiplier'."),
        Column("currency_base_amount", "decimal", "Money that earns points_amount once, for multipliers."),
        Column("pretty_earnings_text", "text", "Earnings as display text."),
        Column("url", "text", "Address to visit."),
        Column("button_text", "text", "Text of its button."),
        Column("custom_action_name", "text", "Name of the custom action."),
        Column("card_click_method", "text", "What a click on its card does."),
        Column("hidden_from_ui", "bool", "Whether it is hidden from customers."),
        Column("multipliers", "json", "Multipliers, an array."),
        Column("multi_balance_settings_by_tiers", "json", "Settings by tier, an object."),
        Column("icon_url", "text", "Icon."),
        Column("automation_id", "scalar", "Automation behind it."),
        Column("step_id", "scalar", "Step of that automation."),
    ),
    history=(
        "title",
        "name",
        "status",
        "trigger",
        "points_amount",
        "credits_amount",
        "points_type",
        "currency_base_amount",
    ),
)

REFERRALS = Endpoint(
    name="referrals",
    title="Referrals",
    path="/referrals",
    description="Friends referred: one row a referral. Only id, status and created_at can be counted on.",
    docs_url="https://developer-docs.rivo.io/reference/referrals",
    reading="cursor",
    open_rows="status in ('unclaimed', 'pending') and (created_at is null or created_at >= floor_start)",
    columns=(
        _ID,
        Column("status", "text", "unclaimed, pending, completed, blocked, ineligible."),
        Column("status_last_changed_at", "timestamp", "When the status last changed."),
        _CREATED,
        _UPDATED,
        Column("claimed_at", "timestamp", "When the friend claimed the offer."),
        Column("completed_at", "timestamp", "When the friend's order completed it."),
        Column(
            "advocate_email",
            "text",
            "The advocate's address.",
            personal="email",
            about=("referrer_customer_id",),
        ),
        Column(
            "referred_email",
            "text",
            "The friend's address.",
            personal="email",
            about=("referred_customer_id",),
        ),
        Column(
            "referrer_customer_id",
            "id",
            "The advocate (Shopify id).",
            fallback="referrer_customer",
            is_customer=True,
        ),
        Column(
            "referred_customer_id",
            "id",
            "The friend (Shopify id).",
            fallback="referred_customer",
            is_customer=True,
        ),
        Column(
            "referrer_customer",
            "json",
            "The advocate as nested; may be stale.",
            volatile=True,
            nested="customers",
        ),
        Column(
            "referred_customer",
            "json",
            "The friend as nested; may be stale.",
            volatile=True,
            nested="customers",
        ),
        Column("referrer_discount_code", "text", "The advocate's code."),
        Column("referrer_discount_code_used_at", "timestamp", "When the advocate's code was used."),
        Column("referred_discount_code", "text", "The friend's code."),
        Column("referred_discount_code_used_at", "timestamp", "When the friend's code was used."),
        Column("referrer_order_id", "scalar", "The advocate's order."),
        Column("referred_order_id", "scalar", "The friend's order."),
        Column("referral_campaign_id", "scalar", "The campaign."),
        Column("advocate_reward_status", "text", "Whether the advocate got the reward."),
        Column("block_reason", "text", "Why it was blocked."),
        Column(
            "additional_details",
            "json",
            "Whatever else Rivo keeps.",
            personal="details",
            about=("referrer_customer_id", "referred_customer_id"),
        ),
        Column(
            "signup_ip",
            "text",
            "Address the friend signed up from.",
            personal="network",
            about=("referred_customer_id",),
        ),
        Column(
            "visitor_token",
            "text",
            "Rivo's visitor token.",
            personal="network",
            about=("referred_customer_id",),
        ),
    ),
)

ENDPOINTS: dict[str, Endpoint] = {
    endpoint.name: endpoint
    for endpoint in (
        VIP_TIERS,
        REWARDS,
        EARNING_RULES,
        CUSTOMERS,
        POINTS_EVENTS,
        POINTS_REDEMPTIONS,
        REFERRALS,
    )
}
"""The seven lists by name, small ones first: a wrong key is noticed before anything large is read."""

"""Rivo's "Get List of ..." endpoints: the path, the columns and the way of reading of each.

Column names are Rivo's attribute names. Sources: Rivo's developer documentation (reference pages pagination, customers,
points_events, points_redemptions, rewards), and responses of the API that other clients recorded.
"""

from __future__ import annotations

from pipelines.rivo.columns import CREATED_AT, ID, UPDATED_AT, Column, Endpoint, endpoints_by_name
from pipelines.rivo.program_endpoints import EARNING_RULES, REWARDS, VIP_TIERS

_CUSTOMER = (
    Column(
        "customer_id",
        "id",
        "Shopify id of the customer (customers.id).",
        fallback="customer",
        is_customer=True,
    ),
    Column(
        "customer",
        "json",
        "Customer object nested in the row. It may be out of date, so do not read balances from it.",
        volatile=True,
        nested="customers",
    ),
)

CUSTOMERS = Endpoint(
    name="customers",
    title="Customers",
    path="/customers",
    description="Shopify customers with their current loyalty status, balances and VIP tier: one row per customer.",
    docs_url="https://developer-docs.rivo.io/reference/customers-1",
    reading="full",
    columns=(
        Column("id", "id", "Shopify customer id.", required=True, is_customer=True),
        Column("email", "text", "E-mail address.", personal="email", about=("id",)),
        Column("first_name", "text", "First name.", personal="name", about=("id",)),
        Column("last_name", "text", "Last name.", personal="name", about=("id",)),
        Column("accepts_marketing", "bool", "Whether the customer accepts marketing messages."),
        Column("orders_count", "quantity", "Number of orders as counted by Shopify."),
        Column("verified_email", "bool", "Whether the e-mail address is verified."),
        Column("total_spent", "decimal", "Total amount spent, in the shop's currency."),
        Column(
            "shopify_tags",
            "json",
            "Customer tags in Shopify: a JSON array of strings.",
            personal="tags",
            about=("id",),
        ),
        Column(
            "loyalty_status", "text", "Status in the loyalty program: 'member', 'guest' or another value."
        ),
        Column(
            "loyalty_status_last_changed_at",
            "timestamp",
            "When the loyalty status last changed.",
            aliases=("loyalty_status_last_updated_at",),
        ),
        Column(
            "points_tally",
            "quantity",
            "Points balance as reported by Rivo, which calls a balance a tally.",
            aliases=("loyalty_points_tally",),
        ),
        Column(
            "credits_tally", "decimal", "Store credit balance as reported by Rivo, in the shop's currency."
        ),
        Column(
            "points_expire_at",
            "text",
            "Date on which the points expire, as display text such as 'May 02, 2026'.",
        ),
        Column(
            "credits_expire_at",
            "scalar",
            "Date on which the store credits expire, as returned by Rivo; its format is not documented.",
        ),
        Column("dob", "text", "Birthday without the year, as MM-DD.", personal="birthday", about=("id",)),
        Column("dob_last_updated_at", "scalar", "When the birthday was last changed."),
        Column(
            "referral_url",
            "text",
            "Link that the customer shares to refer friends.",
            personal="link",
            about=("id",),
        ),
        Column(
            "referral_code", "text", "Code in the customer's referral link.", personal="link", about=("id",)
        ),
        Column(
            "vip_tier_id",
            "id",
            "Id of the current VIP tier (vip_tiers.id); null for customers without a tier.",
            fallback="vip_tier",
        ),
        Column(
            "vip_tier",
            "json",
            "Current VIP tier, as an object nested in the row.",
            volatile=True,
            nested="vip_tiers",
        ),
        Column(
            "next_vip_tier",
            "json",
            "Next higher VIP tier, as an object nested in the row. It can be null although higher tiers exist.",
            volatile=True,
            nested="vip_tiers",
        ),
        Column(
            "lifetime_earnings_tally",
            "quantity",
            "Total points ever earned. Null means that Rivo did not return it, not zero.",
        ),
        Column(
            "completed_earning_rule_ids",
            "json",
            "Earning rules that the customer has completed: a JSON array of earning_rules.id.",
        ),
        Column(
            "remote_updated_at",
            "timestamp",
            "When the customer was last updated in Shopify; changes in Rivo do not move it.",
        ),
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
    description="Ledger of points and store credits: one row per event that earned, spent, expired or adjusted them.",
    docs_url="https://developer-docs.rivo.io/reference/points_events",
    reading="cursor",
    open_rows="coalesce(applied_at, occurred_at) >= lookback_start",
    columns=(
        ID,
        Column(
            "points_amount",
            "quantity",
            "Number of points moved, without a sign. See points_diff for the direction.",
        ),
        Column(
            "points_diff",
            "quantity",
            "Change of the points balance, negative when points are removed. 0 for an event that moves only credits.",
            required=True,
        ),
        Column(
            "credits_amount",
            "decimal",
            "Store credits moved, in the shop's currency. The sign is not reliable; see credits_diff.",
        ),
        Column(
            "credits_diff",
            "decimal",
            "Change of the store credit balance, negative when credits are removed; null where the API omits it.",
        ),
        Column(
            "applied_at",
            "timestamp",
            "When the event takes effect. It can be set to a past date when the event is created.",
        ),
        Column("approved_at", "timestamp", "When a pending event was approved."),
        Column("occurred_at", "timestamp", "When the event occurred."),
        Column("expires_at", "timestamp", "When the points of this event expire."),
        Column(
            "per_event_expiration_at", "timestamp", "Expiry set for this event alone; null where none is set."
        ),
        Column(
            "revoked_at", "timestamp", "When the event was reversed; null if it was not. The row is kept."
        ),
        Column("hidden", "bool", "Whether the event is hidden from the customer."),
        Column(
            "source",
            "text",
            "Cause of the event, such as 'order_placed', 'points_purchase' (a redemption) or 'manual'.",
        ),
        Column(
            "sourceable_id", "scalar", "Id of the object that caused the event; its kind depends on source."
        ),
        Column("order_id", "scalar", "Id of the order that caused the event; null for other events."),
        Column("earning_rule_id", "id", "Id of the earning rule that was applied (earning_rules.id)."),
        Column(
            "points_purchases_id",
            "id",
            "Id of the redemption paid for by this event (points_redemptions.id). Inferred, not documented by Rivo.",
        ),
        Column(
            "custom_action_name",
            "text",
            "Name of the custom action that caused the event; null for other events.",
        ),
        Column("title", "text", "Title of the event as shown to the customer."),
        Column(
            "external_note", "text", "Note shown to the customer.", personal="note", about=("customer_id",)
        ),
        Column(
            "internal_note",
            "text",
            "Note for the shop's staff; can contain their e-mail addresses. Available only in rivo_raw.",
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
    description="Redemptions of rewards: one row per discount code, with its cost and its current state.",
    docs_url="https://developer-docs.rivo.io/reference/points_redemptions",
    reading="cursor",
    open_rows=(
        "used_at is null and revoked_at is null and (expires_at is null or expires_at >= _last_seen_at)"
        " and (applied_at is null or applied_at >= floor_start)"
    ),
    columns=(
        ID,
        Column("code", "text", "Discount code given to the customer."),
        Column("name", "text", "Reward as shown to the customer, such as '$25.50 off coupon'."),
        Column("points_amount", "quantity", "Number of points spent, without a sign."),
        Column("points_diff", "quantity", "Change of the points balance, negative when points were spent."),
        Column("credits_amount", "decimal", "Store credits spent, without a sign, in the shop's currency."),
        Column("applied_at", "timestamp", "When the reward was redeemed."),
        Column("expires_at", "timestamp", "When the discount code expires; null if it does not."),
        Column(
            "used_at",
            "timestamp",
            "When the discount code was used in an order; null if it has not been used.",
        ),
        Column(
            "refunded_at",
            "timestamp",
            "When the points or credits were refunded; null if they were not. A refund may be partial.",
        ),
        Column(
            "revoked_at",
            "timestamp",
            "When the redemption was reversed; null if it was not. The row is kept.",
        ),
        Column("source", "text", "What the redemption was paid with, such as points or credits."),
        Column("reward_id", "id", "Id of the redeemed reward (rewards.id).", fallback="reward"),
        Column(
            "purchase_type", "text", "Kind of purchase that the reward applies to: one-time or subscription."
        ),
        Column(
            "referred_email",
            "text",
            "E-mail address of the referred friend, for referral rewards.",
            personal="email",
        ),
        Column("variant_ids", "json", "Product variants that the reward applies to: a JSON array of ids."),
        Column("formatted_store_credit_amount", "text", "Amount of store credit as display text."),
        Column("terms_of_service", "json", "Terms of service shown with the reward, as JSON."),
        Column(
            "reward",
            "json",
            "Reward object nested in the row, as it was when it was redeemed.",
            volatile=True,
            nested="rewards",
        ),
        *_CUSTOMER,
    ),
)

REFERRALS = Endpoint(
    name="referrals",
    title="Referrals",
    path="/referrals",
    description=(
        "Referrals of friends by customers (advocates): one row per referral. "
        "Only id, status and created_at can be relied on."
    ),
    docs_url="https://developer-docs.rivo.io/reference/referrals",
    reading="cursor",
    open_rows="status in ('unclaimed', 'pending') and (created_at is null or created_at >= floor_start)",
    columns=(
        ID,
        Column(
            "status", "text", "State of the referral: unclaimed, pending, completed, blocked or ineligible."
        ),
        Column("status_last_changed_at", "timestamp", "When the status last changed."),
        CREATED_AT,
        UPDATED_AT,
        Column("claimed_at", "timestamp", "When the friend claimed the offer."),
        Column("completed_at", "timestamp", "When the friend's order completed the referral."),
        Column(
            "advocate_email",
            "text",
            "E-mail address of the advocate, the customer who refers a friend.",
            personal="email",
            about=("referrer_customer_id",),
        ),
        Column(
            "referred_email",
            "text",
            "E-mail address of the referred friend.",
            personal="email",
            about=("referred_customer_id",),
        ),
        Column(
            "referrer_customer_id",
            "id",
            "Shopify id of the advocate (customers.id).",
            fallback="referrer_customer",
            is_customer=True,
        ),
        Column(
            "referred_customer_id",
            "id",
            "Shopify id of the referred friend (customers.id).",
            fallback="referred_customer",
            is_customer=True,
        ),
        Column(
            "referrer_customer",
            "json",
            "Advocate's customer object, nested in the row; it may be out of date.",
            volatile=True,
            nested="customers",
        ),
        Column(
            "referred_customer",
            "json",
            "Friend's customer object, nested in the row; it may be out of date.",
            volatile=True,
            nested="customers",
        ),
        Column("referrer_discount_code", "text", "Discount code given to the advocate."),
        Column("referrer_discount_code_used_at", "timestamp", "When the advocate's discount code was used."),
        Column("referred_discount_code", "text", "Discount code given to the friend."),
        Column("referred_discount_code_used_at", "timestamp", "When the friend's discount code was used."),
        Column("referrer_order_id", "scalar", "Id of the advocate's order."),
        Column("referred_order_id", "scalar", "Id of the friend's order."),
        Column("referral_campaign_id", "scalar", "Id of the referral campaign."),
        Column("advocate_reward_status", "text", "State of the advocate's reward."),
        Column("block_reason", "text", "Why the referral was blocked; null for other referrals."),
        Column(
            "additional_details",
            "json",
            "Further details of the referral, as returned by Rivo; the content is not documented.",
            personal="details",
            about=("referrer_customer_id", "referred_customer_id"),
        ),
        Column(
            "signup_ip",
            "text",
            "IP address from which the friend signed up.",
            personal="network",
            about=("referred_customer_id",),
        ),
        Column(
            "visitor_token",
            "text",
            "Token by which Rivo identifies the visitor who followed the referral link.",
            personal="network",
            about=("referred_customer_id",),
        ),
    ),
)

ENDPOINTS = endpoints_by_name(
    VIP_TIERS,
    REWARDS,
    EARNING_RULES,
    CUSTOMERS,
    POINTS_EVENTS,
    POINTS_REDEMPTIONS,
    REFERRALS,
)
"""The lists by name, in the order of reading. Small lists come first, so that a wrong key fails before a large read."""

"""The endpoints of what the shop defines: VIP tiers, rewards and earning rules. See `pipelines.rivo.endpoints`."""

from __future__ import annotations

from pipelines.rivo.columns import CREATED_AT, ID, UPDATED_AT, Column, Endpoint

VIP_TIERS = Endpoint(
    name="vip_tiers",
    title="VIP Tiers",
    path="/vip_tiers",
    description="VIP tiers with the thresholds at which customers enter them: one row per tier.",
    docs_url="https://developer-docs.rivo.io/reference/vip-tiers-1",
    reading="full",
    is_replaceable=True,
    columns=(
        ID,
        Column("name", "text", "Name of the tier. The merchant can change it, so join on id."),
        Column(
            "threshold",
            "decimal",
            "Value at which a customer enters the tier: points, money or orders. Rivo does not return the unit.",
        ),
        Column("perks", "json", "Perks of the tier: a JSON array."),
        Column("icon_url", "text", "URL of the icon."),
        Column("desc", "text", "Description of the tier."),
        Column("rewards", "json", "Rewards given on entry to the tier: a JSON array."),
        Column("deleted_at", "timestamp", "When the tier was deleted; null where Rivo reports no deletion."),
        CREATED_AT,
        UPDATED_AT,
    ),
    history=("name", "threshold"),
)

REWARDS = Endpoint(
    name="rewards",
    title="Rewards",
    path="/rewards",
    description="Rewards that customers can redeem for points or credits: one row per reward, with price and value.",
    docs_url="https://developer-docs.rivo.io/reference/rewards-1",
    reading="full",
    is_replaceable=True,
    columns=(
        ID,
        Column("name", "text", "Name of the reward."),
        Column("enabled", "bool", "Whether the reward can be redeemed."),
        Column(
            "points_amount",
            "quantity",
            "Price in points. For an incremental reward, the price of one increment.",
        ),
        Column(
            "points_type",
            "text",
            "'fixed' for one price, or incremental, where the customer chooses how much to spend.",
        ),
        Column(
            "reward_type",
            "text",
            "Kind of reward: fixed_amount, percentage, free_shipping, free_product, gift_card or points_to_credit.",
        ),
        Column(
            "source",
            "text",
            "'points' or 'credits' (what the reward is paid with), or 'referrer' (given for a referral).",
        ),
        Column(
            "reward_value",
            "decimal",
            "Value of the reward: an amount of money, a percentage, or the amount of money per increment.",
        ),
        Column("pretty_display_rewards", "text", "Value of the reward as display text."),
        Column("min_order_value_in_cents", "quantity", "Minimum order value for the reward, in cents."),
        Column("min_order_quantity", "quantity", "Minimum number of items in the order."),
        Column(
            "expiry_months",
            "quantity",
            "Number of months until a discount code expires. Expiry set in hours or days may not appear here.",
        ),
        Column("redeemed_count", "quantity", "Number of redemptions so far, as reported by Rivo."),
        Column(
            "purchase_type", "text", "Kind of purchase that the reward applies to: one-time or subscription."
        ),
        Column(
            "recurring_cycle_limit", "quantity", "Number of subscription cycles that the discount applies to."
        ),
        Column("icon_url", "text", "URL of the icon."),
        Column("product_id", "scalar", "Id of the free product."),
        Column("variant_ids", "json", "Variants of the free product: a JSON array of ids."),
        Column("customer_points_get", "quantity", "Number of points that the reward gives to the customer."),
        Column("increment_points_value", "quantity", "Number of points in one increment."),
        Column(
            "max_points_to_spend_value", "quantity", "Maximum number of points that one redemption can spend."
        ),
        Column(
            "min_points_to_redeem_value",
            "quantity",
            "Minimum number of points that one redemption can spend.",
        ),
        Column("terms_of_service", "json", "Terms of service shown with the reward, as JSON."),
        CREATED_AT,
        UPDATED_AT,
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

EARNING_RULES = Endpoint(
    name="earning_rules",
    title="Earning Rules",
    path="/earning_rules",
    description="Rules by which customers earn points or credits: one row per rule, partly null if never set up.",
    docs_url="https://developer-docs.rivo.io/reference/earning-rules",
    reading="full",
    is_replaceable=True,
    columns=(
        ID,
        Column("title", "text", "Title of the rule as shown to customers."),
        Column("name", "text", "Name of the rule."),
        Column("description", "text", "Description of the rule."),
        Column("status", "text", "'active' or 'disabled'; null for a rule that was never set up."),
        Column("trigger", "text", "What triggers the rule, such as 'order_placed' or 'customer_birthday'."),
        Column(
            "points_amount",
            "decimal",
            "Points earned. For a multiplier, the points earned per currency_base_amount.",
        ),
        Column("credits_amount", "decimal", "Store credits earned, in the shop's currency."),
        Column("balance_amount", "decimal", "Amount earned, in the unit that the rule uses."),
        Column(
            "points_type",
            "text",
            "'fixed' for a fixed amount, or 'multiplier' for an amount that depends on the money spent.",
        ),
        Column(
            "currency_base_amount",
            "decimal",
            "For a multiplier, the amount of money that earns points_amount once.",
        ),
        Column("pretty_earnings_text", "text", "Points or credits earned, as display text."),
        Column("url", "text", "URL that the customer visits, for rules that reward a visit."),
        Column("button_text", "text", "Text of the rule's button."),
        Column("custom_action_name", "text", "Name of the custom action that triggers the rule."),
        Column("card_click_method", "text", "Effect of a click on the rule's card."),
        Column("hidden_from_ui", "bool", "Whether the rule is hidden from customers."),
        Column("multipliers", "json", "Multipliers of the rule: a JSON array."),
        Column("multi_balance_settings_by_tiers", "json", "Settings of the rule by VIP tier: a JSON object."),
        Column("icon_url", "text", "URL of the icon."),
        Column("automation_id", "scalar", "Id of the automation that runs the rule."),
        Column("step_id", "scalar", "Id of the step in that automation."),
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

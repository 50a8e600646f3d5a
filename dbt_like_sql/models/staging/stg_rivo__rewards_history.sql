with source as (
    select * from rivo_raw.rewards_history
),

final as (
    select
        id as reward_id,
        name as reward_name,
        enabled as is_enabled,
        reward_type,
        reward_value,
        points_amount,
        points_type,
        source,
        min_order_value_in_cents,
        expiry_months,
        valid_from,
        valid_to,
        valid_to is null as is_current
    from source
)

select * from final

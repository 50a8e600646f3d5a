with source as (
    select * from rivo_raw.rewards
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
        min_points_to_redeem_value,
        source,
        min_order_value_in_cents,
        min_order_quantity,
        expiry_months,
        redeemed_count,
        purchase_type,
        created_at,
        updated_at,
        _first_seen_at as first_seen_at,
        _last_seen_at as last_seen_at,
        _deleted_at as deleted_at,
        _deleted_at is not null as is_deleted
    from source
)

select * from final

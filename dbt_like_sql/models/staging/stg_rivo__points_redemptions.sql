with source as (
    select * from rivo_raw.points_redemptions
),

final as (
    select
        id as redemption_id,
        customer_id,
        reward_id,
        -- An empty code is no code.
        if(trim(code) = '', null, code) as code,
        name as redemption_name,
        source,
        purchase_type,
        coalesce(abs(points_amount), 0) as points_spent,
        coalesce(abs(credits_amount), 0) as credits_spent,
        -- A redemption without a time of its own counts from the first sync that saw it.
        coalesce(applied_at, _first_seen_at) as claimed_at,
        expires_at,
        used_at,
        refunded_at,
        revoked_at,
        -- The reward's terms at the time of the claim; the list of rewards has the current terms.
        reward ->> '$.name' as claimed_reward_name,
        reward ->> '$.reward_type' as claimed_reward_type,
        reward ->> '$.points_type' as claimed_points_type,
        try_cast(reward ->> '$.reward_value' as decimal(18, 4)) as claimed_reward_value,
        try_cast(reward ->> '$.points_amount' as bigint) as claimed_points_amount,
        _first_seen_at as first_seen_at,
        _last_seen_at as last_seen_at,
        _deleted_at as deleted_at,
        _deleted_at is not null as is_deleted
    from source
)

select * from final

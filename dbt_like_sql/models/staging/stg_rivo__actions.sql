with source as (
    select * from rivo_actions.outbox
),

final as (
    select
        action_id,
        action as action_name,
        kind,
        state,
        customer_id,
        points_amount,
        credits_amount,
        "value" as estimated_value,
        try_cast(parameters ->> '$.reward_id' as bigint) as reward_id,
        try_cast(parameters ->> '$.vip_tier_id' as bigint) as vip_tier_id,
        coalesce(try_cast(parameters ->> '$.redemption_id' as bigint), rivo_id) as rivo_id,
        planned_at,
        sent_at,
        verified_at,
        attempts,
        message,
        difference
    from source
)

select * from final

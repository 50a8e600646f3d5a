with clock as (
    select * from intermediate.int_clock
),

listed as (
    select
        *,
        -- If Rivo creates a redemption again under a new id, the deleted row must not count beside the new one.
        max(if(is_deleted, 0, 1)) over (partition by customer_id, claimed_at, code) = 1 as has_listed_copy
    from staging.stg_rivo__points_redemptions
),

final as (
    select
        listed.redemption_id,
        listed.customer_id,
        listed.reward_id,
        listed.code,
        listed.redemption_name,
        listed.claimed_reward_name,
        listed.claimed_reward_type,
        listed.claimed_points_type,
        listed.claimed_reward_value,
        listed.claimed_points_amount,
        listed.points_spent,
        listed.credits_spent,
        listed.claimed_at,
        (listed.claimed_at at time zone clock.timezone)::date as claim_date,
        listed.expires_at,
        listed.used_at,
        listed.revoked_at,
        listed.refunded_at
    from listed
    cross join clock
    where not (listed.is_deleted and listed.has_listed_copy)
)

select * from final

with clock as (
    select * from intermediate.int_clock
),

-- If Rivo creates a redemption again under a new id, the deleted row must not count beside the new one.
replaced as (
    select deleted.redemption_id
    from staging.stg_rivo__points_redemptions as deleted
    inner join staging.stg_rivo__points_redemptions as listed
        on listed.claimed_at = deleted.claimed_at
        and listed.customer_id is not distinct from deleted.customer_id
        and listed.code is not distinct from deleted.code
    where deleted.is_deleted and not listed.is_deleted
),

final as (
    select
        redemptions.redemption_id,
        redemptions.customer_id,
        redemptions.reward_id,
        redemptions.code,
        redemptions.redemption_name,
        redemptions.claimed_reward_name,
        redemptions.claimed_reward_type,
        redemptions.claimed_points_type,
        redemptions.claimed_reward_value,
        redemptions.claimed_points_amount,
        redemptions.points_spent,
        redemptions.credits_spent,
        redemptions.claimed_at,
        (redemptions.claimed_at at time zone clock.timezone)::date as claim_date,
        redemptions.expires_at,
        redemptions.used_at,
        redemptions.revoked_at,
        redemptions.refunded_at
    from staging.stg_rivo__points_redemptions as redemptions
    cross join clock
    where redemptions.redemption_id not in (select redemption_id from replaced)
)

select * from final

with redemptions as (
    select * from marts.fct_redemption
    where claim_date is not null
),

-- The current name of the reward. If Rivo no longer lists it, the name at the last claim.
names as (
    select
        redemptions.reward_id,
        coalesce(
            max(rewards.reward_name),
            arg_max(redemptions.reward_name, (redemptions.claimed_at, redemptions.redemption_id))
        ) as reward_name
    from redemptions
    left join staging.stg_rivo__rewards as rewards on rewards.reward_id = redemptions.reward_id
    group by redemptions.reward_id
),

cohorts as (
    select
        reward_id,
        date_trunc('month', claim_date)::date as month,
        count(*) as claims,
        count(distinct customer_id) as members,
        sum(points_spent)::bigint as points_spent,
        sum(credits_spent)::decimal(18, 4) as credits_spent,
        count(*) filter (where used_at is not null) as used,
        count(*) filter (where status = 'open') as open,
        count(*) filter (where status = 'expired') as expired_unused,
        count(*) filter (where status = 'revoked') as revoked,
        count(*) filter (where status = 'refunded') as refunded,
        median(hours_to_use) as median_hours_to_use,
        sum(redemption_value)::decimal(18, 4) as value_claimed,
        (sum(redemption_value) filter (where used_at is not null))::decimal(18, 4) as value_used,
        sum(points_spent) filter (where redemption_value is not null) as valued_points
    from redemptions
    group by reward_id, date_trunc('month', claim_date)
),

final as (
    select
        cohorts.month,
        cohorts.reward_id,
        names.reward_name,
        cohorts.claims,
        cohorts.members,
        cohorts.points_spent,
        cohorts.credits_spent,
        cohorts.used,
        cohorts.used / cohorts.claims as use_rate,
        cohorts.open,
        cohorts.expired_unused,
        cohorts.revoked,
        cohorts.refunded,
        cohorts.median_hours_to_use,
        cohorts.value_claimed,
        cohorts.value_used,
        cohorts.value_claimed / nullif(cohorts.valued_points, 0) as cost_per_point,
        cohorts.points_spent / nullif(sum(cohorts.points_spent) over (partition by cohorts.month), 0)
            as share_of_points
    from cohorts
    inner join names on names.reward_id is not distinct from cohorts.reward_id
)

select * from final
order by month, claims desc, reward_id

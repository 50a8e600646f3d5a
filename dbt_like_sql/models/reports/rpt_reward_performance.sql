with redemptions as (
    select * from marts.fct_redemption
    where claim_date is not null
),

rewards as (
    select * from staging.stg_rivo__rewards
),

last_claims as (
    select
        reward_id,
        arg_max(reward_name, (claimed_at, redemption_id)) as reward_name
    from redemptions
    group by reward_id
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
        count(*) filter (where redemption_value is null) as claims_unvalued,
        sum(points_spent) filter (where redemption_value is not null) as valued_points
    from redemptions
    group by reward_id, date_trunc('month', claim_date)
),

-- Rewards that could be claimed and were not, too. Rewards for advocates are given, not claimed.
places as (
    select months.month, months.reward_id
    from intermediate.int_reward_months as months
    left join rewards on rewards.reward_id = months.reward_id
    where coalesce(rewards.source, 'points') in ('points', 'credits')
    union
    select month, reward_id from cohorts
),

final as (
    select
        places.month,
        places.reward_id,
        -- The current name. If Rivo no longer lists the reward, the name at the last claim.
        coalesce(rewards.reward_name, last_claims.reward_name) as reward_name,
        coalesce(cohorts.claims, 0) as claims,
        coalesce(cohorts.members, 0) as members,
        coalesce(cohorts.points_spent, 0)::bigint as points_spent,
        coalesce(cohorts.credits_spent, 0)::decimal(18, 4) as credits_spent,
        coalesce(cohorts.used, 0) as used,
        cohorts.used / cohorts.claims as use_rate,
        coalesce(cohorts.open, 0) as open,
        coalesce(cohorts.expired_unused, 0) as expired_unused,
        coalesce(cohorts.revoked, 0) as revoked,
        coalesce(cohorts.refunded, 0) as refunded,
        cohorts.median_hours_to_use,
        if(cohorts.claims is null, 0, cohorts.value_claimed)::decimal(18, 4) as value_claimed,
        if(cohorts.claims is null, 0, cohorts.value_used)::decimal(18, 4) as value_used,
        coalesce(cohorts.claims_unvalued, 0) as claims_unvalued,
        cohorts.value_claimed / nullif(cohorts.valued_points, 0) as cost_per_point,
        coalesce(cohorts.points_spent, 0) / nullif(sum(cohorts.points_spent) over (partition by places.month), 0)
            as share_of_points
    from places
    left join cohorts
        on cohorts.month = places.month
        and cohorts.reward_id is not distinct from places.reward_id
    left join rewards on rewards.reward_id = places.reward_id
    left join last_claims on last_claims.reward_id is not distinct from places.reward_id
)

select * from final
order by month, claims desc, reward_id

with clock as (
    select * from intermediate.int_clock
),

redemptions as (
    select * from marts.fct_redemption
),

rewards as (
    select * from staging.stg_rivo__rewards
),

used as (
    select
        date_trunc('month', (redemptions.used_at at time zone clock.timezone)::date)::date as month,
        redemptions.reward_id,
        redemptions.points_spent,
        redemptions.credits_spent,
        redemptions.redemption_value,
        redemptions.refunded_at is not null as is_refunded
    from redemptions
    cross join clock
    where redemptions.used_at is not null
),

cost as (
    select
        month,
        reward_id,
        count(*) as codes_used,
        sum(redemption_value)::decimal(18, 4) as value_used,
        count(*) filter (where redemption_value is null) as codes_used_unvalued,
        count(*) filter (where is_refunded) as codes_refunded,
        (sum(redemption_value) filter (where is_refunded))::decimal(18, 4) as value_of_refunded,
        count(*) filter (where is_refunded and redemption_value is null) as codes_refunded_unvalued,
        sum(points_spent)::bigint as points_spent,
        sum(credits_spent)::decimal(18, 4) as credits_spent
    from used
    group by month, reward_id
),

-- The current name of the reward. If Rivo no longer lists it, the name at the last claim.
claimed as (
    select
        reward_id,
        arg_max(reward_name, (claimed_at, redemption_id)) as reward_name,
        true as has_codes
    from redemptions
    group by reward_id
),

places as (
    select month, reward_id from intermediate.int_reward_months
    union
    select month, reward_id from cost
),

named as (
    select
        places.month,
        places.reward_id,
        coalesce(rewards.reward_name, claimed.reward_name) as reward_name,
        -- Rivo may give advocates and friends codes that are not in its list of redemptions. 0 would be wrong for them.
        claimed.has_codes is not null or coalesce(rewards.source, 'points') in ('points', 'credits') as is_visible
    from places
    left join rewards on rewards.reward_id = places.reward_id
    left join claimed on claimed.reward_id is not distinct from places.reward_id
),

final as (
    select
        named.month,
        named.reward_id,
        named.reward_name,
        if(named.is_visible, coalesce(cost.codes_used, 0), null) as codes_used,
        -- Null if codes were used and none has a known value.
        if(named.is_visible and cost.codes_used is null, 0, cost.value_used)::decimal(18, 4) as value_used,
        if(named.is_visible, coalesce(cost.codes_used_unvalued, 0), null) as codes_used_unvalued,
        if(named.is_visible, coalesce(cost.codes_refunded, 0), null) as codes_refunded,
        if(named.is_visible and coalesce(cost.codes_refunded, 0) = 0, 0, cost.value_of_refunded)::decimal(18, 4)
            as value_of_refunded,
        if(named.is_visible, coalesce(cost.codes_refunded_unvalued, 0), null) as codes_refunded_unvalued,
        if(named.is_visible, coalesce(cost.points_spent, 0), null) as points_spent,
        if(named.is_visible, coalesce(cost.credits_spent, 0), null)::decimal(18, 4) as credits_spent,
        named.month < date_trunc('month', clock.local_date)::date as is_complete
    from named
    left join cost
        on cost.month = named.month
        and cost.reward_id is not distinct from named.reward_id
    cross join clock
)

select * from final
order by month, value_used desc nulls last, reward_id

with prices as (
    select
        reward_id,
        reward_name,
        if(points_type = 'fixed', points_amount, coalesce(min_points_to_redeem_value, points_amount)) as price
    from staging.stg_rivo__rewards
    where is_enabled and not is_deleted
        and coalesce(source, 'points') = 'points'
),

-- Rewards of equal prices are one step: the one with the lowest id names it.
steps as (
    select
        price,
        min(reward_id) as reward_id,
        min_by(reward_name, reward_id) as reward_name,
        count(*) as rewards
    from prices
    where price > 0
    group by price
),

final as (
    select
        price,
        reward_id,
        reward_name,
        rewards,
        row_number() over (order by price) as step_number,
        lead(price) over (order by price) as next_price,
        lead(reward_id) over (order by price) as next_reward_id,
        lead(reward_name) over (order by price) as next_reward_name
    from steps
)

select * from final

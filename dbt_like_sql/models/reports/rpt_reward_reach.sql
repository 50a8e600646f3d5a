with clock as (
    select * from intermediate.int_clock
),

steps as (
    select * from intermediate.int_reward_prices
),

cheapest as (
    select * from steps
    where step_number = 1
),

members as (
    select
        members.customer_id,
        members.email,
        members.tier_name,
        members.points_balance as balance,
        members.first_redemption_at is not null as has_ever_redeemed,
        date_diff('day', (members.last_activity_at at time zone clock.timezone)::date, clock.local_date)
            as idle_days
    from marts.dim_member as members
    cross join clock
    where members.is_member
),

final as (
    select
        members.customer_id,
        members.email,
        members.tier_name,
        members.balance,
        cheapest.reward_name as cheapest_reward,
        cheapest.price as cheapest_price,
        steps.reward_name as best_affordable_reward,
        steps.price as best_affordable_price,
        if(steps.price is null, cheapest.reward_name, steps.next_reward_name) as next_reward,
        if(steps.price is null, cheapest.price, steps.next_price) - members.balance as points_to_next_reward,
        steps.price is not null as can_redeem,
        members.has_ever_redeemed,
        -- Activity can be dated in the future.
        if(members.idle_days < 0, 0, members.idle_days) as idle_days
    from members
    left join cheapest on true
    left join steps
        on steps.price <= members.balance
        and coalesce(steps.next_price, 9223372036854775807) > members.balance
)

select * from final
order by balance desc, customer_id

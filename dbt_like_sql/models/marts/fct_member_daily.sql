with spells as (
    select * from intermediate.int_state_days
),

days as (
    select * from intermediate.int_member_days
),

-- A member's row changes only on these days; what lies between two of them is one stretch of equal days.
change_days as (
    select customer_id, first_day as local_day from spells
    union
    select customer_id, local_day from days
    union
    select customer_id, local_day + 1 as local_day from days
    union
    select customer_id, local_day + 30 as local_day from days where is_active
),

stretches as (
    select
        spells.customer_id,
        spells.state,
        spells.tier_id,
        change_days.local_day as first_day,
        coalesce(
            lead(change_days.local_day) over (
                partition by spells.customer_id, spells.spell_number
                order by change_days.local_day
            ) - 1,
            spells.last_day
        ) as last_day
    from spells
    inner join change_days
        on change_days.customer_id = spells.customer_id
        and change_days.local_day between spells.first_day and spells.last_day
),

active_days as (
    select customer_id, local_day from days where is_active
),

with_activity as (
    select
        stretches.*,
        active_days.local_day as active_day
    from stretches
    asof left join active_days
        on active_days.customer_id = stretches.customer_id
        and active_days.local_day <= stretches.first_day
),

with_balance as (
    select
        with_activity.*,
        coalesce(days.points_balance, 0) as points_balance,
        coalesce(days.credits_balance, 0) as credits_balance,
        days.local_day = with_activity.first_day as is_booked,
        days.issued,
        days.redeemed,
        days.expired,
        days.orders
    from with_activity
    asof left join days
        on days.customer_id = with_activity.customer_id
        and days.local_day <= with_activity.first_day
),

final as (
    select
        customer_id,
        unnest(generate_series(first_day, last_day, interval 1 day))::date as local_day,
        state,
        tier_id,
        points_balance,
        credits_balance::decimal(18, 4) as credits_balance,
        if(is_booked, issued, 0) as issued,
        if(is_booked, redeemed, 0) as redeemed,
        if(is_booked, expired, 0) as expired,
        if(is_booked, orders, 0) as orders,
        coalesce(active_day > first_day - 30, false) as is_active_30d
    from with_balance
)

select * from final

with spells as (
    select * from intermediate.int_state_days
),

days as (
    select
        *,
        lead(local_day) over by_customer as next_day,
        (max(local_day) filter (where is_active) over by_customer) + 30 as inactive_from
    from intermediate.int_member_days
    window by_customer as (partition by customer_id order by local_day)
),

first_days as (
    select customer_id, min(local_day) as local_day
    from intermediate.int_member_days
    group by customer_id
),

-- Between two days with activity, a customer's values change at most once: 30 days after the last activity. So the
-- days form a few ranges with equal values.
day_ranges as (
    select
        customer_id,
        local_day as first_day,
        local_day as last_day,
        points_balance,
        credits_balance,
        issued,
        redeemed,
        expired,
        orders,
        coalesce(inactive_from > local_day, false) as is_active_30d
    from days
    union all
    select
        customer_id,
        local_day + 1 as first_day,
        least(next_day, inactive_from) - 1 as last_day,
        points_balance,
        credits_balance,
        0 as issued,
        0 as redeemed,
        0 as expired,
        0 as orders,
        true as is_active_30d
    from days
    where inactive_from > local_day + 1
    union all
    select
        customer_id,
        greatest(local_day + 1, inactive_from) as first_day,
        next_day - 1 as last_day,
        points_balance,
        credits_balance,
        0 as issued,
        0 as redeemed,
        0 as expired,
        0 as orders,
        false as is_active_30d
    from days
    where next_day is null or inactive_from is null or inactive_from < next_day
    union all
    select
        spells.customer_id,
        spells.first_day,
        first_days.local_day - 1 as last_day,
        0 as points_balance,
        0 as credits_balance,
        0 as issued,
        0 as redeemed,
        0 as expired,
        0 as orders,
        false as is_active_30d
    from (select customer_id, min(first_day) as first_day from spells group by customer_id) as spells
    left join first_days on first_days.customer_id = spells.customer_id
),

in_states as (
    select
        day_ranges.* exclude (first_day, last_day),
        spells.state,
        spells.tier_id,
        greatest(day_ranges.first_day, spells.first_day) as first_day,
        -- The last range has no end (null), which least() ignores.
        least(day_ranges.last_day, spells.last_day) as last_day
    from day_ranges
    inner join spells
        on spells.customer_id = day_ranges.customer_id
        and spells.last_day >= day_ranges.first_day
        and (day_ranges.last_day is null or spells.first_day <= day_ranges.last_day)
    where day_ranges.last_day is null or day_ranges.last_day >= day_ranges.first_day
),

final as (
    select
        customer_id,
        first_day + unnest(generate_series(0, last_day - first_day))::int as local_day,
        state,
        tier_id,
        points_balance::bigint as points_balance,
        credits_balance::decimal(18, 4) as credits_balance,
        issued,
        redeemed,
        expired,
        orders,
        is_active_30d
    from in_states
)

select * from final

with states as (
    select * from intermediate.int_state_days
),

days as (
    select * from intermediate.int_member_days
),

first_days as (
    select
        customer_id,
        min(local_day) as first_day
    from days
    group by customer_id
),

-- After a day with entries or a claim, nothing changes until the next such day, except that a customer ceases to be
-- active 30 and 90 days after the last activity. A last_day of null means that the stretch goes on.
stretches as (
    select
        local_day as first_day,
        local_day as last_day,
        customer_id,
        points_balance,
        credits_balance,
        issued,
        redeemed,
        expired,
        orders,
        coalesce(last_active_day + 30 > local_day, false) as is_active_30d,
        coalesce(last_active_day + 90 > local_day, false) as is_active_90d
    from days
    union all
    select
        greatest(days.local_day + 1, days.last_active_day + quiet.from_day) as first_day,
        least(days.next_day, days.last_active_day + quiet.to_day) - 1 as last_day,
        days.customer_id,
        days.points_balance,
        days.credits_balance,
        0 as issued,
        0 as redeemed,
        0 as expired,
        0 as orders,
        quiet.from_day < 30 as is_active_30d,
        quiet.from_day < 90 as is_active_90d
    from days
    cross join (values (0, 30), (30, 90), (90, null)) as quiet (from_day, to_day)
    where days.last_active_day is not null
    union all
    select
        local_day + 1 as first_day,
        next_day - 1 as last_day,
        customer_id,
        points_balance,
        credits_balance,
        0 as issued,
        0 as redeemed,
        0 as expired,
        0 as orders,
        false as is_active_30d,
        false as is_active_90d
    from days
    where last_active_day is null
    union all
    select
        states.first_day,
        first_days.first_day - 1 as last_day,
        states.customer_id,
        0 as points_balance,
        0 as credits_balance,
        0 as issued,
        0 as redeemed,
        0 as expired,
        0 as orders,
        false as is_active_30d,
        false as is_active_90d
    from (select customer_id, min(first_day) as first_day from states group by customer_id) as states
    left join first_days on first_days.customer_id = states.customer_id
),

in_states as (
    select
        stretches.customer_id,
        greatest(stretches.first_day, states.first_day) as first_day,
        least(stretches.last_day, states.last_day) as last_day,
        states.state,
        states.tier_id,
        stretches.points_balance,
        stretches.credits_balance,
        stretches.issued,
        stretches.redeemed,
        stretches.expired,
        stretches.orders,
        stretches.is_active_30d,
        stretches.is_active_90d
    from stretches
    inner join states
        on states.customer_id = stretches.customer_id
        and states.first_day <= coalesce(stretches.last_day, states.first_day)
        and stretches.first_day <= coalesce(states.last_day, stretches.first_day)
    where stretches.last_day is null or stretches.last_day >= stretches.first_day
),

-- Two stretches in a row can only be equal after a day on which nothing was booked (a claim that no entry pays for,
-- say), or if a stay in another state lasted less than a day. Comparing those of all customers would take long.
uneventful as (
    select customer_id from days
    where issued = 0 and redeemed = 0 and expired = 0 and orders = 0
    union
    select customer_id
    from (
        select
            customer_id,
            state = lag(state) over by_customer
            and coalesce(tier_id, 0) = coalesce(lag(tier_id) over by_customer, 0) as is_same_state
        from states
        window by_customer as (partition by customer_id order by first_day)
    )
    where is_same_state
),

flagged as (
    select
        *,
        issued <> 0 or redeemed <> 0 or expired <> 0 or orders <> 0 as is_eventful
    from in_states
    where customer_id in (select customer_id from uneventful)
),

compared as (
    select
        *,
        coalesce(
            lag(last_day) over by_customer = first_day - 1
            and not lag(is_eventful) over by_customer
            and not is_eventful
            and lag(state) over by_customer = state
            and lag(coalesce(tier_id, 0)) over by_customer = coalesce(tier_id, 0)
            and lag(points_balance) over by_customer = points_balance
            and lag(credits_balance) over by_customer = credits_balance
            and lag(is_active_30d) over by_customer = is_active_30d
            and lag(is_active_90d) over by_customer = is_active_90d,
            false
        ) as continues,
        coalesce(
            lead(first_day) over by_customer = last_day + 1
            and not lead(is_eventful) over by_customer
            and not is_eventful
            and lead(state) over by_customer = state
            and lead(coalesce(tier_id, 0)) over by_customer = coalesce(tier_id, 0)
            and lead(points_balance) over by_customer = points_balance
            and lead(credits_balance) over by_customer = credits_balance
            and lead(is_active_30d) over by_customer = is_active_30d
            and lead(is_active_90d) over by_customer = is_active_90d,
            false
        ) as is_continued
    from flagged
    window by_customer as (partition by customer_id order by first_day)
),

-- From the first day of the first of them to the last day of the last.
merged as (
    select
        * replace (lead(last_day) over (partition by customer_id order by first_day) as last_day)
    from compared
    where continues <> is_continued
),

final as (
    select * from in_states
    where customer_id not in (select customer_id from uneventful)
    union all
    select * exclude (is_eventful, continues, is_continued)
    from compared
    where not continues and not is_continued
    union all
    select * exclude (is_eventful, continues, is_continued)
    from merged
    where is_continued
)

select * from final

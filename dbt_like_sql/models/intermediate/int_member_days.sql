with clock as (
    select timezone from intermediate.int_clock
),

ledger as (
    select
        *,
        leg = 'original' and entry_class = 'issue_purchase' as is_order
    from intermediate.int_ledger_entries
    where is_counted and customer_id is not null
),

-- An order that earned both points and credits has two entries, but is one order.
orders_in_both_units as (
    select credits.event_id
    from ledger as credits
    inner join ledger as points on points.event_id = credits.event_id
    where credits.is_order
        and credits.unit = 'credits'
        and points.is_order
        and points.unit = 'points'
),

entries as (
    select
        customer_id,
        entry_date as local_day,
        if(unit = 'points', amount, 0)::bigint as points,
        if(unit = 'credits', amount, 0)::decimal(18, 4) as credits,
        case
            when entry_class in (
                'issue_purchase', 'issue_action', 'issue_referral', 'issue_tier', 'issue_manual', 'issue_reversal'
            ) then 'issued'
            when entry_class in ('redeem', 'redeem_return') then 'redeemed'
            when entry_class = 'expire' then 'expired'
        end as movement,
        is_order and not (unit = 'credits' and event_id in (select event_id from orders_in_both_units)) as is_order,
        leg = 'original' and entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'redeem'
        ) as has_activity
    from ledger
),

booked as (
    select
        customer_id,
        local_day,
        sum(points)::bigint as points,
        sum(credits)::decimal(18, 4) as credits,
        sum(if(movement = 'issued', points, 0))::bigint as issued,
        -sum(if(movement = 'redeemed', points, 0))::bigint as redeemed,
        -sum(if(movement = 'expired', points, 0))::bigint as expired,
        count(*) filter (where is_order) as orders,
        bool_or(has_activity) as has_activity
    from entries
    group by customer_id, local_day
),

-- A claim counts as activity even if no ledger entry pays for it.
claimed as (
    select distinct
        redemptions.customer_id,
        (redemptions.claimed_at at time zone clock.timezone)::date as local_day
    from staging.stg_rivo__points_redemptions as redemptions
    cross join clock
    where redemptions.customer_id is not null
),

days as (
    select
        coalesce(booked.customer_id, claimed.customer_id) as customer_id,
        coalesce(booked.local_day, claimed.local_day) as local_day,
        coalesce(booked.points, 0) as points,
        coalesce(booked.credits, 0) as credits,
        coalesce(booked.issued, 0) as issued,
        coalesce(booked.redeemed, 0) as redeemed,
        coalesce(booked.expired, 0) as expired,
        coalesce(booked.orders, 0) as orders,
        claimed.customer_id is not null or booked.has_activity as has_activity
    from booked
    full outer join claimed
        on claimed.customer_id = booked.customer_id
        and claimed.local_day = booked.local_day
),

final as (
    select
        customer_id,
        local_day,
        points,
        credits::decimal(18, 4) as credits,
        issued,
        redeemed,
        expired,
        orders,
        has_activity,
        (sum(points) over by_customer)::bigint as points_balance,
        (sum(credits) over by_customer)::decimal(18, 4) as credits_balance,
        max(case when has_activity then local_day end) over by_customer as last_active_day,
        lead(local_day) over by_customer as next_day
    from days
    window by_customer as (partition by customer_id order by local_day)
)

select * from final

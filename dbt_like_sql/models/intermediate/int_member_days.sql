with booked as (
    select
        customer_id,
        entry_date as local_day,
        coalesce(sum(amount) filter (where unit = 'points'), 0) as points,
        coalesce(sum(amount) filter (where unit = 'credits'), 0) as credits,
        coalesce(sum(amount) filter (where unit = 'points' and entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'issue_tier', 'issue_manual', 'issue_reversal'
        )), 0) as issued,
        coalesce(-sum(amount) filter (where unit = 'points' and entry_class in ('redeem', 'redeem_return')), 0)
            as redeemed,
        coalesce(-sum(amount) filter (where unit = 'points' and entry_class = 'expire'), 0) as expired,
        count(distinct event_id) filter (where leg = 'original' and entry_class = 'issue_purchase') as orders,
        bool_or(leg = 'original' and entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'redeem'
        )) as is_active
    from intermediate.int_ledger_entries
    where is_counted and customer_id is not null
    group by customer_id, entry_date
),

-- A claim counts as activity even if no ledger entry pays for it.
claimed as (
    select distinct
        redemptions.customer_id,
        timezone(clock.timezone, redemptions.claimed_at)::date as local_day
    from staging.stg_rivo__points_redemptions as redemptions
    cross join intermediate.int_clock as clock
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
        claimed.customer_id is not null or booked.is_active as is_active
    from booked
    full outer join claimed
        on claimed.customer_id = booked.customer_id
        and claimed.local_day = booked.local_day
),

final as (
    select
        customer_id,
        local_day,
        points::bigint as points,
        credits::decimal(18, 4) as credits,
        issued::bigint as issued,
        redeemed::bigint as redeemed,
        expired::bigint as expired,
        orders,
        is_active,
        (sum(points) over by_customer)::bigint as points_balance,
        (sum(credits) over by_customer)::decimal(18, 4) as credits_balance
    from days
    window by_customer as (partition by customer_id order by local_day)
)

select * from final

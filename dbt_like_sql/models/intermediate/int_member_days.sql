with clock as (
    select timezone, history_start_date from intermediate.int_clock
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
        entry_date,
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
    union all
    -- A claim counts as activity even if no ledger entry pays for it.
    select
        redemptions.customer_id,
        (redemptions.claimed_at at time zone clock.timezone)::date as entry_date,
        0 as points,
        0 as credits,
        null as movement,
        false as is_order,
        true as has_activity
    from staging.stg_rivo__points_redemptions as redemptions
    cross join clock
    where redemptions.customer_id is not null
),

-- Of the time before history only the balances at its end count, and the last activity.
days as (
    select
        entries.customer_id,
        greatest(entries.entry_date, clock.history_start_date - 1) as local_day,
        sum(entries.points)::bigint as points,
        sum(entries.credits)::decimal(18, 4) as credits,
        sum(if(entries.movement = 'issued', entries.points, 0))::bigint as issued,
        -sum(if(entries.movement = 'redeemed', entries.points, 0))::bigint as redeemed,
        -sum(if(entries.movement = 'expired', entries.points, 0))::bigint as expired,
        count(*) filter (where entries.is_order) as orders,
        max(case when entries.has_activity then entries.entry_date end) as active_day
    from entries
    cross join clock
    group by entries.customer_id, greatest(entries.entry_date, clock.history_start_date - 1)
),

final as (
    select
        customer_id,
        local_day,
        points,
        credits,
        issued,
        redeemed,
        expired,
        orders,
        active_day is not null as has_activity,
        (sum(points) over by_customer)::bigint as points_balance,
        (sum(credits) over by_customer)::decimal(18, 4) as credits_balance,
        max(active_day) over by_customer as last_active_day,
        lead(local_day) over by_customer as next_day
    from days
    window by_customer as (partition by customer_id order by local_day)
)

select * from final

with clock as (
    select * from intermediate.int_clock
),

joiners as (
    select
        joined.customer_id,
        date_trunc('month', joined.join_date)::date as join_month
    from intermediate.int_join_dates as joined
    cross join clock
    where joined.joined_at <= clock.observed_at
),

cohorts as (
    select join_month, count(*) as cohort_size
    from joiners
    group by join_month
),

grid as (
    select
        cohorts.join_month,
        cohorts.cohort_size,
        months.months_since
    from cohorts
    cross join clock
    cross join unnest(range(date_diff('month', cohorts.join_month, clock.local_date) + 1)) as months (months_since)
),

activity as (
    select
        customer_id,
        entry_date as local_day,
        amount > 0 as is_earner,
        entry_class = 'issue_purchase' as is_buyer,
        false as is_redeemer
    from marts.fct_points_ledger
    where leg = 'original' and entry_class in (
        'issue_purchase', 'issue_action', 'issue_referral', 'issue_tier', 'issue_manual'
    )
    union all
    select
        customer_id,
        claim_date as local_day,
        false as is_earner,
        false as is_buyer,
        true as is_redeemer
    from marts.fct_redemption
),

active_months as (
    select
        customer_id,
        date_trunc('month', local_day)::date as month,
        bool_or(is_earner) as is_earner,
        bool_or(is_buyer) as is_buyer,
        bool_or(is_redeemer) as is_redeemer
    from activity
    group by customer_id, date_trunc('month', local_day)
),

active as (
    select
        joiners.join_month,
        date_diff('month', joiners.join_month, active_months.month) as months_since,
        count(*) filter (where active_months.is_earner) as active_earners,
        count(*) filter (where active_months.is_redeemer) as active_redeemers,
        count(*) filter (where active_months.is_buyer) as buyers
    from joiners
    inner join active_months on active_months.customer_id = joiners.customer_id
    group by joiners.join_month, date_diff('month', joiners.join_month, active_months.month)
),

final as (
    select
        grid.join_month,
        grid.months_since,
        grid.cohort_size,
        coalesce(active.active_earners, 0) as active_earners,
        coalesce(active.active_redeemers, 0) as active_redeemers,
        coalesce(active.buyers, 0) as buyers,
        coalesce(active.active_earners, 0) / grid.cohort_size as earner_share,
        coalesce(active.active_redeemers, 0) / grid.cohort_size as redeemer_share,
        coalesce(active.buyers, 0) / grid.cohort_size as buyer_share,
        grid.join_month + (grid.months_since + 1) * interval 1 month <= clock.local_date as is_complete
    from grid
    left join active
        on active.join_month = grid.join_month
        and active.months_since = grid.months_since
    cross join clock
)

select * from final
order by join_month, months_since

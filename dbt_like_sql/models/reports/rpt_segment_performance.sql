with months as (
    select
        period_number,
        period_start as month,
        period_end,
        is_complete
    from intermediate.int_periods
    where period_type = 'month'
),

spans as (
    select * from intermediate.int_segment_spans
),

spending as (
    select
        spending.customer_id,
        months.period_number,
        sum(spending.orders) as orders,
        sum(spending.spent) as spent,
        count(*) filter (where spending.spent is null) as spent_unknown
    from marts.fct_spending as spending
    inner join months on spending.local_day between months.month and months.period_end
    group by spending.customer_id, months.period_number
),

bought as (
    select
        spans.comparison,
        spans.segment,
        spans.segment_tier_id,
        spending.period_number,
        count(*) filter (where spending.orders > 0) as buyers,
        sum(spending.orders) as orders,
        sum(spending.spent) as spent,
        sum(spending.spent_unknown) as spent_unknown
    from spending
    inner join spans
        on spans.customer_id = spending.customer_id
        and spending.period_number between spans.first_number and spans.last_number
    group by spans.comparison, spans.segment, spans.segment_tier_id, spending.period_number
),

-- A customer counts from the first to the last month that begins in the segment.
changes as (
    select comparison, segment, segment_tier_id, first_number as period_number, 1 as customers
    from spans
    union all
    select comparison, segment, segment_tier_id, last_number + 1 as period_number, -1 as customers
    from spans
),

changed as (
    select
        comparison,
        segment,
        segment_tier_id,
        period_number,
        sum(customers) as customers
    from changes
    group by comparison, segment, segment_tier_id, period_number
),

segments as (
    select distinct comparison, segment, segment_tier_id from changed
),

counted as (
    select
        segments.comparison,
        segments.segment,
        segments.segment_tier_id,
        months.period_number,
        sum(coalesce(changed.customers, 0)) over (
            partition by segments.comparison, segments.segment, segments.segment_tier_id
            order by months.period_number
        ) as customers
    from segments
    cross join months
    left join changed
        on changed.comparison = segments.comparison
        and changed.segment = segments.segment
        and changed.segment_tier_id is not distinct from segments.segment_tier_id
        and changed.period_number = months.period_number
),

in_segments as (
    select
        counted.comparison,
        counted.segment,
        counted.segment_tier_id,
        counted.period_number,
        counted.customers,
        coalesce(bought.buyers, 0) as buyers,
        coalesce(bought.orders, 0) as orders,
        coalesce(bought.spent, 0) as spent,
        coalesce(bought.spent_unknown, 0) as spent_unknown
    from counted
    left join bought
        on bought.comparison = counted.comparison
        and bought.segment = counted.segment
        and bought.segment_tier_id is not distinct from counted.segment_tier_id
        and bought.period_number = counted.period_number
),

-- Members who are not redeemers are all members less the redeemers.
parts as (
    select comparison, segment, segment_tier_id, period_number, customers, buyers, orders, spent, spent_unknown
    from in_segments
    union all
    select
        'redeemer' as comparison,
        'not_redeemer' as segment,
        null::bigint as segment_tier_id,
        period_number,
        if(comparison = 'redeemer', -customers, customers) as customers,
        if(comparison = 'redeemer', -buyers, buyers) as buyers,
        if(comparison = 'redeemer', -orders, orders) as orders,
        if(comparison = 'redeemer', -spent, spent) as spent,
        if(comparison = 'redeemer', -spent_unknown, spent_unknown) as spent_unknown
    from in_segments
    where comparison = 'redeemer' or segment = 'member'
),

totals as (
    select
        comparison,
        segment,
        segment_tier_id,
        period_number,
        sum(customers)::bigint as customers,
        sum(buyers)::bigint as buyers,
        sum(orders)::bigint as orders,
        sum(spent)::decimal(18, 4) as spent,
        sum(spent_unknown)::bigint as spent_unknown
    from parts
    group by comparison, segment, segment_tier_id, period_number
),

final as (
    select
        months.month,
        totals.comparison,
        totals.segment,
        totals.segment_tier_id,
        totals.customers,
        totals.buyers,
        totals.orders,
        totals.spent,
        totals.spent_unknown,
        totals.spent / nullif(totals.orders, 0) as aov,
        totals.orders / nullif(totals.buyers, 0) as orders_per_buyer,
        totals.spent / nullif(totals.customers, 0) as spent_per_customer,
        totals.buyers / nullif(totals.customers, 0) as buyer_share,
        months.is_complete
    from totals
    inner join months on months.period_number = totals.period_number
    where totals.customers > 0
)

select * from final
order by month, comparison, segment_tier_id nulls first, segment

with clock as (
    select * from intermediate.int_clock
),

purchases as (
    select customer_id, max(entry_at) as last_order_at
    from marts.fct_points_ledger
    where leg = 'original' and entry_class = 'issue_purchase'
    group by customer_id
),

-- A join before the time zone is applied would make DuckDB look the zone up for each row.
dated_purchases as (
    select
        purchases.customer_id,
        purchases.last_order_at,
        date_diff('day', (purchases.last_order_at at time zone clock.timezone)::date, clock.local_date)
            as days_since_order
    from purchases
    cross join clock
),

members as (
    select
        members.customer_id,
        members.email,
        members.tier_name,
        members.points_balance,
        purchases.last_order_at,
        purchases.days_since_order,
        coalesce(members.orders_count, 0) as orders_count,
        coalesce(members.total_spent, 0) as total_spent
    from marts.dim_member as members
    left join dated_purchases as purchases on purchases.customer_id = members.customer_id
    where members.is_member
),

-- The number of members with a worse value. Equal members share the lowest number.
placed as (
    select
        *,
        count(*) over () as members,
        rank() over (order by days_since_order desc nulls first) - 1 as less_recent,
        rank() over (order by orders_count) - 1 as less_frequent,
        rank() over (order by total_spent) - 1 as less_valuable
    from members
),

scored as (
    select
        customer_id,
        email,
        tier_name,
        points_balance,
        last_order_at,
        days_since_order,
        orders_count,
        total_spent,
        5 * less_recent // members + 1 as recency,
        5 * less_frequent // members + 1 as frequency,
        5 * less_valuable // members + 1 as monetary
    from placed
),

segmented as (
    select
        *,
        case
            when orders_count = 0 and last_order_at is null then 'no_order'
            when recency >= 4 and greatest(frequency, monetary) >= 4 then 'champion'
            when recency >= 4 and greatest(frequency, monetary) = 3 then 'loyal'
            when recency >= 4 then 'new_or_occasional'
            when recency = 3 and greatest(frequency, monetary) >= 3 then 'loyal'
            when recency = 3 then 'needs_attention'
            when greatest(frequency, monetary) >= 4 then 'cannot_lose'
            when greatest(frequency, monetary) = 3 then 'at_risk'
            else 'hibernating'
        end as segment
    from scored
),

final as (
    select
        customer_id,
        email,
        tier_name,
        recency,
        frequency,
        monetary,
        segment,
        segment in ('cannot_lose', 'at_risk') as is_at_risk,
        if(segment in ('cannot_lose', 'at_risk'), greatest(points_balance, 0), 0)::bigint as reactivation_points,
        last_order_at,
        days_since_order,
        orders_count,
        total_spent,
        points_balance
    from segmented
)

select * from final
order by reactivation_points desc, customer_id

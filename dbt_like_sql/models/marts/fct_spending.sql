-- A customer without an order may have no total yet.
with versions as (
    select
        customer_id,
        orders_count,
        if(orders_count = 0, coalesce(total_spent, 0), total_spent) as total_spent,
        valid_from,
        valid_to
    from staging.stg_rivo__customers_history
),

compared as (
    select
        customer_id,
        valid_from,
        orders_count,
        total_spent,
        lag(valid_to) over by_customer as previous_valid_to,
        lag(orders_count) over by_customer as previous_orders_count,
        lag(total_spent) over by_customer as previous_total_spent
    from versions
    window by_customer as (partition by customer_id order by valid_from)
),

-- The totals at the first observation of a customer are an opening balance.
changed as (
    select * from compared
    where previous_valid_to is not null
        and (
            orders_count is distinct from previous_orders_count
            or total_spent is distinct from previous_total_spent
        )
),

final as (
    select
        changed.customer_id,
        last_seen.previous_observed_at as observed_after,
        changed.valid_from as observed_by,
        (changed.valid_from at time zone clock.timezone)::date as local_day,
        (changed.orders_count - changed.previous_orders_count)::bigint as orders,
        (changed.total_spent - changed.previous_total_spent)::decimal(18, 4) as spent
    from changed
    -- A version ends with the first observation that no longer shows it.
    inner join intermediate.int_observations as last_seen on last_seen.observed_at = changed.previous_valid_to
    cross join intermediate.int_clock as clock
)

select * from final

with clock as (
    select timezone from intermediate.int_clock
),

lots as (
    select
        entries.event_id,
        entries.leg,
        entries.unit,
        coalesce(returned.earn_basis, entries.earn_basis, 'unknown') as earn_basis,
        entries.entry_date as issue_date,
        if(entries.entry_class = 'redeem_return', 'returned', 'issued') as kind,
        entries.amount
    from intermediate.int_ledger_entries as entries
    left join intermediate.int_returned_lots as returned
        on returned.event_id = entries.event_id
        and returned.leg = entries.leg
        and returned.unit = entries.unit
    where entries.is_counted and entries.customer_id is not null and entries.amount > 0
),

takings as (
    select
        allocations.lot_event_id,
        allocations.lot_leg,
        allocations.unit,
        allocations.kind,
        allocations.amount,
        (allocations.allocated_at at time zone clock.timezone)::date as taken_date
    from intermediate.int_points_allocations as allocations
    cross join clock
),

-- By day first, because it is cheaper to truncate a few days to their month than every entry.
by_day as (
    select
        unit,
        earn_basis,
        issue_date,
        issue_date as change_date,
        kind,
        sum(amount) as amount
    from lots
    group by unit, earn_basis, issue_date, kind
    union all
    select
        lots.unit,
        lots.earn_basis,
        lots.issue_date,
        takings.taken_date as change_date,
        takings.kind,
        sum(takings.amount) as amount
    from takings
    inner join lots
        on lots.event_id = takings.lot_event_id
        and lots.leg = takings.lot_leg
        and lots.unit = takings.unit
    group by lots.unit, lots.earn_basis, lots.issue_date, takings.taken_date, takings.kind
),

final as (
    select
        unit,
        earn_basis,
        date_trunc('month', issue_date)::date as issue_month,
        date_trunc('month', change_date)::date as month,
        sum(if(kind in ('issued', 'returned'), amount, 0))::decimal(18, 4) as issued,
        sum(if(kind = 'returned', amount, 0))::decimal(18, 4) as returned,
        sum(if(kind = 'redeemed', amount, 0))::decimal(18, 4) as redeemed,
        sum(if(kind = 'expired', amount, 0))::decimal(18, 4) as expired,
        sum(if(kind = 'reversed', amount, 0))::decimal(18, 4) as reversed
    from by_day
    group by unit, earn_basis, date_trunc('month', issue_date), date_trunc('month', change_date)
)

select * from final

with clock as (
    select * from intermediate.int_clock
),

entries as (
    select * from marts.fct_points_ledger
    where customer_id is not null
),

expiries as (
    select
        events.event_id,
        timezone(clock.timezone, events.expires_at)::date as expires_on
    from staging.stg_rivo__points_events as events
    cross join clock
    where events.expires_at is not null
),

-- Amounts received, in the order in which they are used. `total` is cumulative and includes this lot.
lots as (
    select
        entries.entry_id,
        entries.event_id,
        entries.customer_id,
        entries.unit,
        entries.entry_class,
        entries.earn_basis,
        entries.entry_at,
        entries.entry_date,
        expiries.expires_on,
        entries.amount,
        (sum(entries.amount) over (
            partition by entries.customer_id, entries.unit
            order by entries.entry_at, entries.event_id, entries.leg
            rows between unbounded preceding and current row
        ))::decimal(18, 4) as total
    from entries
    left join expiries on expiries.event_id = entries.event_id
    where entries.amount > 0
),

-- Amounts deducted, with the same cumulative total, and its parts that were redeemed and expired.
debits as (
    select
        customer_id,
        unit,
        entry_date,
        case entry_class when 'redeem' then 'redeemed' when 'expire' then 'expired' else 'reversed' end as kind,
        -amount as amount,
        (sum(-amount) over in_order)::decimal(18, 4) as total,
        coalesce(sum(-amount) filter (where entry_class = 'redeem') over in_order, 0)::decimal(18, 4) as redeemed,
        coalesce(sum(-amount) filter (where entry_class = 'expire') over in_order, 0)::decimal(18, 4) as expired,
        min(entry_date) over in_order as first_date,
        lead(entry_date) over (partition by customer_id, unit order by entry_at, event_id, leg) as next_date
    from entries
    where amount < 0
    window in_order as (
        partition by customer_id, unit
        order by entry_at, event_id, leg
        rows between unbounded preceding and current row
    )
),

-- First in, first out: the n-th point received is the n-th point deducted. So the debits below `total` used up this lot
-- and all earlier ones. The join finds the debit that took the last point of the lot, or the last debit of all if the
-- lot is not used up.
used_by_lot as (
    select
        lots.*,
        coalesce(
            debits.redeemed - if(debits.kind = 'redeemed', debits.total - least(lots.total, debits.total), 0), 0
        ) as redeemed_to_here,
        coalesce(
            debits.expired - if(debits.kind = 'expired', debits.total - least(lots.total, debits.total), 0), 0
        ) as expired_to_here,
        if(debits.total >= lots.total, debits.entry_date, null) as used_up_on,
        if(debits.total > lots.total, debits.entry_date, debits.next_date) as next_lot_first_used_on,
        debits.first_date
    from lots
    asof left join (select *, total - amount as before from debits) as debits
        on debits.customer_id = lots.customer_id
        and debits.unit = lots.unit
        and debits.before < lots.total
),

-- A lot is untouched until `first_used_on`, and its amounts no longer change after it is used up.
consumed as (
    select
        entry_id,
        event_id,
        customer_id,
        unit,
        entry_class,
        earn_basis,
        entry_date,
        expires_on,
        amount,
        total,
        coalesce(lag(redeemed_to_here) over in_order, 0)::decimal(18, 4) as redeemed_before,
        coalesce(lag(expired_to_here) over in_order, 0)::decimal(18, 4) as expired_before,
        (redeemed_to_here - coalesce(lag(redeemed_to_here) over in_order, 0))::decimal(18, 4) as redeemed,
        (expired_to_here - coalesce(lag(expired_to_here) over in_order, 0))::decimal(18, 4) as expired,
        lag(next_lot_first_used_on, 1, first_date) over in_order as first_used_on,
        used_up_on
    from used_by_lot
    window in_order as (partition by customer_id, unit order by total)
),

months as (
    select unnest(generate_series(
        date_trunc('month', min(entries.entry_date)),
        date_trunc('month', max(clock.local_date)) - interval 1 month,
        interval 1 month
    ))::date as month
    from entries
    cross join clock
),

instants as (
    select 'month_end' as as_of_type, last_day(month) as as_of_date from months
    union all
    select 'now' as as_of_type, local_date as as_of_date from clock
),

days_of_debits as (
    select
        customer_id,
        unit,
        entry_date,
        max(total) as total,
        max(redeemed) as redeemed,
        max(expired) as expired,
        lead(entry_date, 1, date 'infinity') over (partition by customer_id, unit order by entry_date) as next_date
    from debits
    group by customer_id, unit, entry_date
),

-- At any date, at most one lot of a customer is partly used. Only that lot needs a join with the debits of the date,
-- which keeps the query fast.
partly_used as (
    select
        instants.as_of_type,
        instants.as_of_date,
        lots.*
    from consumed as lots
    inner join instants
        on instants.as_of_date >= lots.entry_date
        and instants.as_of_date >= lots.first_used_on
        and (lots.used_up_on is null or instants.as_of_date < lots.used_up_on)
),

as_of as (
    select
        instants.as_of_type,
        instants.as_of_date,
        lots.entry_id,
        lots.event_id,
        lots.customer_id,
        lots.unit,
        lots.entry_class,
        lots.earn_basis,
        lots.entry_date,
        lots.expires_on,
        lots.amount as issued,
        if(lots.used_up_on <= instants.as_of_date, 0, lots.amount) as remaining,
        if(lots.used_up_on <= instants.as_of_date, lots.redeemed, 0) as redeemed,
        if(lots.used_up_on <= instants.as_of_date, lots.expired, 0) as expired
    from consumed as lots
    inner join instants
        on instants.as_of_date >= lots.entry_date
        and (
            lots.first_used_on is null
            or instants.as_of_date < lots.first_used_on
            or instants.as_of_date >= lots.used_up_on
        )
    union all
    select
        partly_used.as_of_type,
        partly_used.as_of_date,
        partly_used.entry_id,
        partly_used.event_id,
        partly_used.customer_id,
        partly_used.unit,
        partly_used.entry_class,
        partly_used.earn_basis,
        partly_used.entry_date,
        partly_used.expires_on,
        partly_used.amount as issued,
        partly_used.total - taken.total as remaining,
        taken.redeemed - partly_used.redeemed_before as redeemed,
        taken.expired - partly_used.expired_before as expired
    from partly_used
    inner join days_of_debits as taken
        on taken.customer_id = partly_used.customer_id
        and taken.unit = partly_used.unit
        and taken.entry_date <= partly_used.as_of_date
        and taken.next_date > partly_used.as_of_date
),

final as (
    select
        as_of.as_of_type,
        as_of.as_of_date,
        as_of.entry_id,
        as_of.event_id,
        as_of.customer_id,
        as_of.unit,
        as_of.entry_class,
        as_of.earn_basis,
        as_of.entry_date,
        as_of.issued,
        as_of.remaining::decimal(18, 4) as remaining,
        as_of.redeemed::decimal(18, 4) as redeemed,
        as_of.expired::decimal(18, 4) as expired,
        (as_of.issued - as_of.remaining - as_of.redeemed - as_of.expired)::decimal(18, 4) as reversed,
        (as_of.as_of_date - as_of.entry_date)::bigint as age_days,
        as_of.expires_on
    from as_of
)

select * from final

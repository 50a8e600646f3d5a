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

-- What was received, in the order in which it is used up: `upto` counts this lot and all before it.
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
        ))::decimal(18, 4) as upto
    from entries
    left join expiries on expiries.event_id = entries.event_id
    where entries.amount > 0
),

-- What was taken, in the same way, and how much of that was spent, expired or taken back.
debits as (
    select
        customer_id,
        unit,
        entry_date,
        case entry_class when 'redeem' then 'redeemed' when 'expire' then 'expired' else 'reversed' end as kind,
        -amount as amount,
        (sum(-amount) over in_order)::decimal(18, 4) as upto,
        coalesce(sum(-amount) filter (where entry_class = 'redeem') over in_order, 0)::decimal(18, 4) as redeemed,
        coalesce(sum(-amount) filter (where entry_class = 'expire') over in_order, 0)::decimal(18, 4) as expired
    from entries
    where amount < 0
    window in_order as (
        partition by customer_id, unit
        order by entry_at, event_id, leg
        rows between unbounded preceding and current row
    )
),

-- First in, first out: the n-th unit received is the n-th unit taken. So the debits that lie below `upto` are
-- those that used up this lot and the ones before it.
used_upto as (
    select
        lots.*,
        coalesce(least(lots.upto, debits.upto), 0) as taken_upto,
        coalesce(
            debits.redeemed - if(debits.kind = 'redeemed', debits.upto - least(lots.upto, debits.upto), 0), 0
        ) as redeemed_upto,
        coalesce(
            debits.expired - if(debits.kind = 'expired', debits.upto - least(lots.upto, debits.upto), 0), 0
        ) as expired_upto
    from lots
    asof left join (select *, upto - amount as before from debits) as debits
        on debits.customer_id = lots.customer_id
        and debits.unit = lots.unit
        and debits.before < lots.upto
),

consumed as (
    select
        used_upto.*,
        coalesce(lag(redeemed_upto) over in_order, 0) as redeemed_before,
        coalesce(lag(expired_upto) over in_order, 0) as expired_before
    from used_upto
    window in_order as (partition by customer_id, unit order by upto)
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

-- How much had been taken from each member by then.
debtors as (
    select distinct customer_id, unit from debits
),

taken as (
    select
        debtors.customer_id,
        debtors.unit,
        instants.as_of_type,
        instants.as_of_date
    from debtors
    cross join instants
),

days_of_debits as (
    select
        customer_id,
        unit,
        entry_date,
        max(upto) as upto,
        max(redeemed) as redeemed,
        max(expired) as expired
    from debits
    group by customer_id, unit, entry_date
),

taken_by_then as (
    select
        taken.customer_id,
        taken.unit,
        taken.as_of_type,
        taken.as_of_date,
        days_of_debits.upto,
        days_of_debits.redeemed,
        days_of_debits.expired
    from taken
    asof inner join days_of_debits
        on days_of_debits.customer_id = taken.customer_id
        and days_of_debits.unit = taken.unit
        and days_of_debits.entry_date <= taken.as_of_date
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
        greatest(0, least(lots.amount, lots.upto - coalesce(taken.upto, 0))) as remaining,
        -- What was taken by then reaches past this lot, ends inside it, or before it.
        case
            when taken.upto >= lots.upto then lots.redeemed_upto - lots.redeemed_before
            when taken.upto > lots.upto - lots.amount then taken.redeemed - lots.redeemed_before
            else 0
        end as redeemed,
        case
            when taken.upto >= lots.upto then lots.expired_upto - lots.expired_before
            when taken.upto > lots.upto - lots.amount then taken.expired - lots.expired_before
            else 0
        end as expired
    from consumed as lots
    inner join instants on instants.as_of_date >= lots.entry_date
    left join taken_by_then as taken
        on taken.customer_id = lots.customer_id
        and taken.unit = lots.unit
        and taken.as_of_type = instants.as_of_type
        and taken.as_of_date = instants.as_of_date
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

with clock as (
    select observed_at from intermediate.int_clock
),

expiries as (
    select
        entries.event_id,
        entries.customer_id,
        entries.unit,
        entries.entry_at,
        entries.entry_date
    from intermediate.int_ledger_entries as entries
    cross join clock
    where entries.entry_class = 'expire'
        and entries.leg = 'original'
        and entries.amount < 0
        and entries.is_counted
        and entries.customer_id is not null
        and entries.entry_at <= clock.observed_at
),

-- Within a day, because an expiry is booked some hours after it is due, and Rivo shows the customer's day in a time
-- zone that it does not document.
lots_due as (
    select distinct
        expiries.event_id,
        expiries.unit
    from expiries
    inner join intermediate.int_ledger_entries as lots
        on lots.customer_id = expiries.customer_id
        and lots.unit = expiries.unit
    where lots.is_counted
        and lots.amount > 0
        and lots.entry_at < expiries.entry_at
        and lots.expires_on between expiries.entry_date - 1 and expiries.entry_date + 1
),

by_entry as (
    select
        expiries.unit,
        lots_due.event_id is not null as is_explained
    from expiries
    left join lots_due
        on lots_due.event_id = expiries.event_id
        and lots_due.unit = expiries.unit
),

-- Only expiries within history can be compared with the day that the customer was shown just before.
by_customer as (
    select
        expiries.unit,
        coalesce(
            versions.points_expire_on between expiries.entry_date - 1 and expiries.entry_date + 1,
            false
        ) as is_explained
    from expiries
    inner join staging.stg_rivo__customers_history as versions
        on versions.customer_id = expiries.customer_id
        and versions.valid_from < expiries.entry_at
        and coalesce(versions.valid_to, timestamptz 'infinity') >= expiries.entry_at
    where expiries.unit = 'points'
),

judged as (
    select unit, 'entry' as basis, is_explained from by_entry
    union all
    select unit, 'customer' as basis, is_explained from by_customer
),

-- Rivo shows no day on which a customer's store credit expires.
bases as (
    select * from (values ('points', 'customer'), ('points', 'entry'), ('credits', 'entry')) as bases (unit, basis)
),

counted as (
    select
        bases.unit,
        bases.basis,
        count(judged.is_explained) as entries,
        coalesce(sum(if(judged.is_explained, 1, 0)), 0)::bigint as explained
    from bases
    left join judged
        on judged.unit = bases.unit
        and judged.basis = bases.basis
    group by bases.unit, bases.basis
),

ranked as (
    select
        unit,
        basis,
        entries,
        explained,
        entries > 0 and explained >= 0.95 * entries as explains_enough,
        row_number() over (
            partition by unit
            order by entries > 0 and explained >= 0.95 * entries desc, explained desc, basis desc
        ) as place
    from counted
),

final as (
    select
        unit,
        basis,
        entries,
        explained,
        explained / nullif(entries, 0) as share,
        -- Using both would count points twice, so if both explain enough, the one that explains more is used.
        explains_enough and place = 1 as is_used
    from ranked
)

select * from final

with clock as (
    select local_date from intermediate.int_clock
),

lots as (
    select
        entries.event_id,
        entries.customer_id,
        entries.unit,
        entries.leg,
        entries.entry_class,
        coalesce(returned.earn_basis, entries.earn_basis) as earn_basis,
        entries.entry_at,
        entries.entry_date,
        entries.amount as issued,
        coalesce(used.redeemed, 0) as redeemed,
        coalesce(used.expired, 0) as expired,
        coalesce(used.reversed, 0) as reversed,
        used.last_used_at,
        entries.expires_on
    from intermediate.int_ledger_entries as entries
    left join intermediate.int_used_lots as used
        on used.customer_id = entries.customer_id
        and used.event_id = entries.event_id
        and used.leg = entries.leg
        and used.unit = entries.unit
    left join intermediate.int_returned_lots as returned
        on returned.event_id = entries.event_id
        and returned.leg = entries.leg
        and returned.unit = entries.unit
    where entries.is_counted and entries.customer_id is not null and entries.amount > 0
),

final as (
    select
        lots.event_id || '-' || lots.unit || '-' || lots.leg as entry_id,
        lots.event_id,
        lots.customer_id,
        lots.unit,
        lots.leg,
        lots.entry_class,
        lots.earn_basis,
        lots.entry_at,
        lots.entry_date,
        lots.issued,
        (lots.issued - lots.redeemed - lots.expired - lots.reversed)::decimal(18, 4) as remaining,
        lots.redeemed,
        lots.expired,
        lots.reversed,
        date_diff('day', lots.entry_date, clock.local_date) as age_days,
        lots.expires_on,
        if(lots.issued = lots.redeemed + lots.expired + lots.reversed, lots.last_used_at, null) as used_up_at
    from lots
    cross join clock
)

select * from final

with entries as (
    select
        event_id,
        customer_id,
        unit,
        leg,
        entry_class,
        entry_at,
        amount
    from intermediate.int_ledger_entries
    where is_counted and customer_id is not null
),

lots as (
    select * from entries
    where amount > 0
),

debits as (
    select
        * replace (-amount as amount),
        case entry_class when 'redeem' then 'redeemed' when 'expire' then 'expired' else 'reversed' end as kind
    from entries
    where amount < 0
),

expiries as (
    select
        debits.event_id,
        debits.leg,
        debits.unit,
        debits.customer_id,
        try_cast(events.sourceable_id as bigint) as lot_event_id
    from debits
    inner join staging.stg_rivo__points_events as events on events.event_id = debits.event_id
    where debits.leg = 'original' and debits.kind = 'expired'
),

-- The event whose lot a debit names: a revocation its own event, an expiry the event that Rivo says it expires.
naming as (
    select
        debits.event_id,
        debits.leg,
        debits.unit,
        debits.event_id as lot_event_id
    from debits
    where debits.leg = 'revocation'
    union all
    select
        expiries.event_id,
        expiries.leg,
        expiries.unit,
        lots.event_id as lot_event_id
    from expiries
    inner join lots
        on lots.event_id = expiries.lot_event_id
        and lots.customer_id = expiries.customer_id
        and lots.unit = expiries.unit
        and lots.leg = 'original'
),

-- Rivo does not document the object that an expiry entry names. It is believed for a unit if nearly all of them name an
-- event of the same customer.
units_with_names as (
    select expiries.unit
    from expiries
    left join naming
        on naming.event_id = expiries.event_id
        and naming.unit = expiries.unit
        and naming.leg = expiries.leg
    group by expiries.unit
    having count(naming.event_id) >= 0.95 * count(*)
),

named as (
    select
        debits.customer_id,
        debits.unit,
        lots.event_id as lot_event_id,
        lots.leg as lot_leg,
        debits.event_id as debit_event_id,
        debits.leg as debit_leg,
        debits.kind,
        greatest(lots.entry_at, debits.entry_at) as allocated_at,
        debits.amount,
        lots.amount - coalesce(sum(debits.amount) over (
            partition by lots.event_id, lots.unit
            order by debits.entry_at, debits.event_id, debits.leg
            rows between unbounded preceding and 1 preceding
        ), 0) as left_in_lot
    from naming
    inner join debits
        on debits.event_id = naming.event_id
        and debits.unit = naming.unit
        and debits.leg = naming.leg
    inner join lots
        on lots.event_id = naming.lot_event_id
        and lots.unit = naming.unit
        and lots.customer_id = debits.customer_id
        and lots.leg = 'original'
    where debits.leg = 'revocation' or debits.unit in (select unit from units_with_names)
),

-- Set aside first, up to the lot: what expired was not spent.
named_takings as (
    select
        * exclude (amount, left_in_lot),
        'named' as basis,
        least(amount, left_in_lot)::decimal(18, 4) as amount
    from named
    where left_in_lot > 0
),

-- The rest of lots and debits meets first in, first out: the n-th point received is the n-th point deducted.
-- `total` counts a customer's points up to the end of a lot or debit, and `number` its lots or debits.
lots_left as (
    select
        lots.event_id,
        lots.leg,
        lots.customer_id,
        lots.unit,
        lots.entry_at,
        (lots.amount - coalesce(taken.amount, 0))::decimal(18, 4) as amount,
        (sum((lots.amount - coalesce(taken.amount, 0))::decimal(18, 4)) over in_order)::decimal(18, 4) as total,
        row_number() over in_order as number
    from lots
    left join (
        select lot_event_id, lot_leg, unit, sum(amount)::decimal(18, 4) as amount from named_takings
        group by lot_event_id, lot_leg, unit
    ) as taken
        on taken.lot_event_id = lots.event_id
        and taken.lot_leg = lots.leg
        and taken.unit = lots.unit
    where lots.amount > coalesce(taken.amount, 0)
    window in_order as (
        partition by lots.customer_id, lots.unit
        order by lots.entry_at, lots.event_id, lots.leg
        rows between unbounded preceding and current row
    )
),

debits_left as (
    select
        debits.event_id,
        debits.leg,
        debits.customer_id,
        debits.unit,
        debits.entry_at,
        debits.kind,
        (sum((debits.amount - coalesce(taken.amount, 0))::decimal(18, 4)) over in_order)::decimal(18, 4) as total,
        row_number() over in_order as number
    from debits
    left join named_takings as taken
        on taken.debit_event_id = debits.event_id
        and taken.debit_leg = debits.leg
        and taken.unit = debits.unit
    where debits.amount > coalesce(taken.amount, 0)
    window in_order as (
        partition by debits.customer_id, debits.unit
        order by debits.entry_at, debits.event_id, debits.leg
        rows between unbounded preceding and current row
    )
),

owed as (
    select
        customer_id,
        unit,
        max(total) as total
    from debits_left
    group by customer_id, unit
),

-- Lots that begin after the last debit are untouched.
ends as (
    select
        lots_left.customer_id,
        lots_left.unit,
        lots_left.total,
        1 as lots,
        0 as debits
    from lots_left
    inner join owed
        on owed.customer_id = lots_left.customer_id
        and owed.unit = lots_left.unit
        and owed.total > lots_left.total - lots_left.amount
    union all
    select customer_id, unit, total, 0 as lots, 1 as debits from debits_left
),

-- Between two ends, all points are of one lot and go to one debit: the next ones that end. Where a lot and a debit end
-- at the same point, there is nothing between them.
pieces as (
    select
        customer_id,
        unit,
        total - coalesce(lag(total) over (partition by customer_id, unit order by total, lots), 0) as amount,
        (sum(lots) over in_order)::bigint - lots + 1 as lot_number,
        (sum(debits) over in_order)::bigint - debits + 1 as debit_number
    from ends
    window in_order as (
        partition by customer_id, unit
        order by total, lots
        rows between unbounded preceding and current row
    )
),

fifo_takings as (
    select
        pieces.customer_id,
        pieces.unit,
        lots_left.event_id as lot_event_id,
        lots_left.leg as lot_leg,
        debits_left.event_id as debit_event_id,
        debits_left.leg as debit_leg,
        debits_left.kind,
        greatest(lots_left.entry_at, debits_left.entry_at) as allocated_at,
        'fifo' as basis,
        pieces.amount::decimal(18, 4) as amount
    from pieces
    inner join lots_left
        on lots_left.customer_id = pieces.customer_id
        and lots_left.unit = pieces.unit
        and lots_left.number = pieces.lot_number
    inner join debits_left
        on debits_left.customer_id = pieces.customer_id
        and debits_left.unit = pieces.unit
        and debits_left.number = pieces.debit_number
    where pieces.amount > 0
),

takings as (
    select * from named_takings
    union all by name
    select * from fifo_takings
),

final as (
    select
        customer_id,
        unit,
        lot_event_id,
        lot_leg,
        debit_event_id,
        debit_leg,
        amount,
        kind,
        basis,
        allocated_at
    from takings
)

select * from final

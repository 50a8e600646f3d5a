with recursive returns as (
    select
        event_id,
        unit,
        leg,
        customer_id,
        redemption_id
    from intermediate.int_ledger_entries
    where is_counted and customer_id is not null and amount > 0 and entry_class = 'redeem_return'
),

-- A revocation returns what its own event has taken; a refund names the redemption.
paid_by as (
    select
        returns.event_id,
        returns.unit,
        returns.leg,
        redeems.event_id as redeem_event_id
    from returns
    inner join intermediate.int_ledger_entries as redeems
        on redeems.customer_id = returns.customer_id
        and redeems.unit = returns.unit
        and case
            when returns.leg = 'revocation' then redeems.event_id = returns.event_id
            else redeems.redemption_id = returns.redemption_id
        end
    where redeems.is_counted and redeems.amount < 0 and redeems.entry_class = 'redeem'
),

paid_from as (
    select
        paid_by.event_id,
        paid_by.unit,
        paid_by.leg,
        lots.earn_basis,
        if(lots.entry_class = 'redeem_return', lots.event_id, null) as returned_event_id,
        if(lots.entry_class = 'redeem_return', lots.leg, null) as returned_leg,
        sum(allocations.amount) as amount
    from paid_by
    inner join intermediate.int_points_allocations as allocations
        on allocations.debit_event_id = paid_by.redeem_event_id
        and allocations.unit = paid_by.unit
        and allocations.kind = 'redeemed'
    inner join intermediate.int_ledger_entries as lots
        on lots.event_id = allocations.lot_event_id
        and lots.leg = allocations.lot_leg
        and lots.unit = allocations.unit
    group by all
),

-- Points may come back, be spent and come back again, so that the basis of a lot can depend on that of another one.
-- A round decides the lots that depend on those of the round before. No chain is longer than a customer's returns.
last_round as (
    select coalesce(max(lots), 0) as round_number
    from (select count(*) as lots from returns group by customer_id, unit)
),

rounds as (
    select distinct
        event_id,
        unit,
        leg,
        null::varchar as earn_basis,
        0 as round_number
    from paid_from
    union all
    select
        event_id,
        unit,
        leg,
        earn_basis,
        round_number
    from (
        select
            paid_from.event_id,
            paid_from.unit,
            paid_from.leg,
            coalesce(paid_from.earn_basis, returned.earn_basis) as earn_basis,
            lots.round_number + 1 as round_number,
            row_number() over (
                partition by paid_from.event_id, paid_from.unit, paid_from.leg
                order by
                    coalesce(paid_from.earn_basis, returned.earn_basis) is null,
                    sum(paid_from.amount) desc,
                    coalesce(paid_from.earn_basis, returned.earn_basis)
            ) as preference
        from rounds as lots
        inner join paid_from
            on paid_from.event_id = lots.event_id
            and paid_from.unit = lots.unit
            and paid_from.leg = lots.leg
        left join rounds as returned
            on returned.event_id = paid_from.returned_event_id
            and returned.leg = paid_from.returned_leg
            and returned.unit = paid_from.unit
        where lots.round_number < (select round_number from last_round)
        group by
            paid_from.event_id,
            paid_from.unit,
            paid_from.leg,
            coalesce(paid_from.earn_basis, returned.earn_basis),
            lots.round_number
    )
    where preference = 1
),

final as (
    select
        event_id,
        unit,
        leg,
        earn_basis
    from rounds
    where round_number = (select round_number from last_round)
)

select * from final

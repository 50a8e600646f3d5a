with returns as (
    select
        event_id,
        unit,
        leg,
        customer_id,
        redemption_id,
        entry_at
    from intermediate.int_ledger_entries
    where is_counted and customer_id is not null and amount > 0 and entry_class = 'redeem_return'
),

redeems as (
    select
        event_id,
        unit,
        customer_id,
        redemption_id
    from intermediate.int_ledger_entries
    where is_counted and amount < 0 and entry_class = 'redeem'
),

-- A revocation returns what its own event has taken; a refund names the redemption.
paid_by as (
    select
        returns.*,
        redeems.event_id as redeem_event_id
    from returns
    inner join redeems
        on redeems.event_id = returns.event_id
        and redeems.customer_id = returns.customer_id
        and redeems.unit = returns.unit
    where returns.leg = 'revocation'
    union all
    select
        returns.*,
        redeems.event_id as redeem_event_id
    from returns
    inner join redeems
        on redeems.redemption_id = returns.redemption_id
        and redeems.customer_id = returns.customer_id
        and redeems.unit = returns.unit
    where returns.leg = 'original'
),

paid_from as (
    select
        paid_by.event_id,
        paid_by.unit,
        paid_by.leg,
        paid_by.customer_id,
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
    -- A debit beyond all credits is met by later ones, even by those that return it. These do not say how it was earned.
    where lots.entry_class <> 'redeem_return'
        or (lots.entry_at, lots.event_id, lots.leg) < (paid_by.entry_at, paid_by.event_id, paid_by.leg)
    group by all
),

-- How most of it was earned, of what was not itself returned.
earned as (
    select
        event_id,
        unit,
        leg,
        earn_basis
    from (
        select
            event_id,
            unit,
            leg,
            earn_basis,
            row_number() over (
                partition by event_id, unit, leg
                order by earn_basis is null, sum(amount) desc, earn_basis
            ) as preference
        from paid_from
        group by event_id, unit, leg, earn_basis
    )
    where preference = 1
),

-- Points may come back, be spent and come back again. The basis of such a lot depends on that of others.
chained as (
    select distinct
        event_id,
        unit,
        leg,
        customer_id
    from paid_from
    where returned_event_id is not null
),

shares as (
    select
        paid_from.event_id,
        paid_from.unit,
        paid_from.leg,
        if(sources.event_id is null, coalesce(paid_from.earn_basis, earned.earn_basis), null) as earn_basis,
        sources.event_id as returned_event_id,
        sources.leg as returned_leg,
        paid_from.amount
    from paid_from
    inner join chained
        on chained.event_id = paid_from.event_id
        and chained.unit = paid_from.unit
        and chained.leg = paid_from.leg
    left join earned
        on earned.event_id = paid_from.returned_event_id
        and earned.unit = paid_from.unit
        and earned.leg = paid_from.returned_leg
    left join chained as sources
        on sources.event_id = paid_from.returned_event_id
        and sources.unit = paid_from.unit
        and sources.leg = paid_from.returned_leg
),

-- A round decides the lots that depend on those of the round before. Five rounds: the engine has no recursion that
-- could go on until nothing changes.
round_1 as (
    select
        event_id,
        unit,
        leg,
        earn_basis
    from (
        select
            shares.event_id,
            shares.unit,
            shares.leg,
            shares.earn_basis as earn_basis,
            row_number() over (
                partition by shares.event_id, shares.unit, shares.leg
                order by
                    shares.earn_basis is null,
                    sum(shares.amount) desc,
                    shares.earn_basis
            ) as preference
        from shares
        group by shares.event_id, shares.unit, shares.leg, shares.earn_basis
    )
    where preference = 1
),

round_2 as (
    select
        event_id,
        unit,
        leg,
        earn_basis
    from (
        select
            shares.event_id,
            shares.unit,
            shares.leg,
            coalesce(shares.earn_basis, returned.earn_basis) as earn_basis,
            row_number() over (
                partition by shares.event_id, shares.unit, shares.leg
                order by
                    coalesce(shares.earn_basis, returned.earn_basis) is null,
                    sum(shares.amount) desc,
                    coalesce(shares.earn_basis, returned.earn_basis)
            ) as preference
        from shares
        left join round_1 as returned
            on returned.event_id = shares.returned_event_id
            and returned.leg = shares.returned_leg
            and returned.unit = shares.unit
        group by shares.event_id, shares.unit, shares.leg, coalesce(shares.earn_basis, returned.earn_basis)
    )
    where preference = 1
),

round_3 as (
    select
        event_id,
        unit,
        leg,
        earn_basis
    from (
        select
            shares.event_id,
            shares.unit,
            shares.leg,
            coalesce(shares.earn_basis, returned.earn_basis) as earn_basis,
            row_number() over (
                partition by shares.event_id, shares.unit, shares.leg
                order by
                    coalesce(shares.earn_basis, returned.earn_basis) is null,
                    sum(shares.amount) desc,
                    coalesce(shares.earn_basis, returned.earn_basis)
            ) as preference
        from shares
        left join round_2 as returned
            on returned.event_id = shares.returned_event_id
            and returned.leg = shares.returned_leg
            and returned.unit = shares.unit
        group by shares.event_id, shares.unit, shares.leg, coalesce(shares.earn_basis, returned.earn_basis)
    )
    where preference = 1
),

round_4 as (
    select
        event_id,
        unit,
        leg,
        earn_basis
    from (
        select
            shares.event_id,
            shares.unit,
            shares.leg,
            coalesce(shares.earn_basis, returned.earn_basis) as earn_basis,
            row_number() over (
                partition by shares.event_id, shares.unit, shares.leg
                order by
                    coalesce(shares.earn_basis, returned.earn_basis) is null,
                    sum(shares.amount) desc,
                    coalesce(shares.earn_basis, returned.earn_basis)
            ) as preference
        from shares
        left join round_3 as returned
            on returned.event_id = shares.returned_event_id
            and returned.leg = shares.returned_leg
            and returned.unit = shares.unit
        group by shares.event_id, shares.unit, shares.leg, coalesce(shares.earn_basis, returned.earn_basis)
    )
    where preference = 1
),

round_5 as (
    select
        event_id,
        unit,
        leg,
        earn_basis
    from (
        select
            shares.event_id,
            shares.unit,
            shares.leg,
            coalesce(shares.earn_basis, returned.earn_basis) as earn_basis,
            row_number() over (
                partition by shares.event_id, shares.unit, shares.leg
                order by
                    coalesce(shares.earn_basis, returned.earn_basis) is null,
                    sum(shares.amount) desc,
                    coalesce(shares.earn_basis, returned.earn_basis)
            ) as preference
        from shares
        left join round_4 as returned
            on returned.event_id = shares.returned_event_id
            and returned.leg = shares.returned_leg
            and returned.unit = shares.unit
        group by shares.event_id, shares.unit, shares.leg, coalesce(shares.earn_basis, returned.earn_basis)
    )
    where preference = 1
),

-- Of a customer for whom the last round still changed something, nothing is known.
unsettled as (
    select distinct
        chained.customer_id,
        chained.unit
    from chained
    inner join round_4
        on round_4.event_id = chained.event_id
        and round_4.unit = chained.unit
        and round_4.leg = chained.leg
    inner join round_5
        on round_5.event_id = chained.event_id
        and round_5.unit = chained.unit
        and round_5.leg = chained.leg
    where round_5.earn_basis is distinct from round_4.earn_basis
),

settled as (
    select
        chained.event_id,
        chained.unit,
        chained.leg,
        if(unsettled.customer_id is null, round_5.earn_basis, null) as earn_basis
    from chained
    inner join round_5
        on round_5.event_id = chained.event_id
        and round_5.unit = chained.unit
        and round_5.leg = chained.leg
    left join unsettled
        on unsettled.customer_id = chained.customer_id
        and unsettled.unit = chained.unit
),

final as (
    select
        earned.event_id,
        earned.unit,
        earned.leg,
        if(settled.event_id is null, earned.earn_basis, settled.earn_basis) as earn_basis
    from earned
    left join settled
        on settled.event_id = earned.event_id
        and settled.unit = earned.unit
        and settled.leg = earned.leg
)

select * from final

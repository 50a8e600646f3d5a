with periods as (
    select * from intermediate.int_periods
),

-- Customers who are in one spell at both ends of a period are not looked up in each period: they count from the first
-- of these periods on, and no longer after the last.
changes as (
    select
        period_type,
        first_start as period_number,
        state,
        state_kind,
        tier_id,
        1 as change
    from intermediate.int_spell_periods
    where first_start <= last_end
    union all
    select
        period_type,
        last_end + 1 as period_number,
        state,
        state_kind,
        tier_id,
        -1 as change
    from intermediate.int_spell_periods
    where first_start <= last_end
),

changed as (
    select
        period_type,
        period_number,
        state,
        state_kind,
        tier_id,
        sum(change) as change
    from changes
    group by period_type, period_number, state, state_kind, tier_id
),

states as (
    select distinct
        period_type,
        state,
        state_kind,
        tier_id
    from changed
),

stayed as (
    select
        periods.period_type,
        periods.period_start,
        states.state,
        states.state_kind,
        states.tier_id,
        sum(coalesce(changed.change, 0)) over (
            partition by periods.period_type, states.state, states.state_kind, states.tier_id
            order by periods.period_number
        ) as customers
    from periods
    inner join states on states.period_type = periods.period_type
    left join changed
        on changed.period_type = periods.period_type
        and changed.period_number = periods.period_number
        and changed.state = states.state
        and changed.state_kind = states.state_kind
        and changed.tier_id is not distinct from states.tier_id
),

-- A customer who was absent in between can be a mover and have the same state at both ends.
parts as (
    select
        period_type,
        period_start,
        state as from_state,
        state_kind as from_kind,
        tier_id as from_tier_id,
        state as to_state,
        state_kind as to_kind,
        tier_id as to_tier_id,
        customers
    from stayed
    where customers > 0
    union all
    select
        period_type,
        period_start,
        from_state,
        from_kind,
        from_tier_id,
        to_state,
        to_kind,
        to_tier_id,
        1 as customers
    from intermediate.int_period_movers
),

final as (
    select
        period_type,
        period_start,
        from_state,
        from_kind,
        from_tier_id,
        to_state,
        to_kind,
        to_tier_id,
        sum(customers)::bigint as customers
    from parts
    group by period_type, period_start, from_state, from_kind, from_tier_id, to_state, to_kind, to_tier_id
)

select * from final

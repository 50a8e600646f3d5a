with spell_periods as (
    select * from intermediate.int_spell_periods
),

-- Each instant is in one period of a type. So the period within which a spell ends is the last one that began in it,
-- and the period within which it begins is the first one that ended in it.
leaving as (
    select
        period_type,
        last_start as period_number,
        customer_id,
        state,
        state_kind,
        tier_id
    from spell_periods
    where last_start >= first_start and last_start > last_end
),

entering as (
    select
        period_type,
        first_end as period_number,
        customer_id,
        state,
        state_kind,
        tier_id
    from spell_periods
    where first_end <= last_end and first_end < first_start
),

pairs as (
    select
        coalesce(leaving.period_type, entering.period_type) as period_type,
        coalesce(leaving.period_number, entering.period_number) as period_number,
        coalesce(leaving.customer_id, entering.customer_id) as customer_id,
        coalesce(leaving.state, '(joined)') as from_state,
        coalesce(leaving.state_kind, '(joined)') as from_kind,
        leaving.tier_id as from_tier_id,
        coalesce(entering.state, '(left)') as to_state,
        coalesce(entering.state_kind, '(left)') as to_kind,
        entering.tier_id as to_tier_id
    from leaving
    full outer join entering
        on entering.customer_id = leaving.customer_id
        and entering.period_type = leaving.period_type
        and entering.period_number = leaving.period_number
),

final as (
    select
        pairs.period_type,
        periods.period_start,
        pairs.customer_id,
        pairs.from_state,
        pairs.from_kind,
        pairs.from_tier_id,
        pairs.to_state,
        pairs.to_kind,
        pairs.to_tier_id
    from pairs
    inner join intermediate.int_periods as periods
        on periods.period_type = pairs.period_type
        and periods.period_number = pairs.period_number
)

select * from final

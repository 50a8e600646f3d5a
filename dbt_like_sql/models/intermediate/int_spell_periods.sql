-- Periods of one type have no gaps, so the periods that begin or end within a spell are a run of consecutive numbers.
with periods as (
    select * from intermediate.int_periods
),

spells as (
    select * from intermediate.int_tier_spells
),

-- Spells begin and end at the few instants of syncs, so count periods once per instant instead of once per spell.
instants as (
    select entered_at as instant from spells
    union
    select exited_at as instant from spells where exited_at is not null
),

counted as (
    select
        instants.instant,
        periods.period_type,
        count(*) as periods_of_type,
        sum(case when periods.starts_at < instants.instant then 1 else 0 end)::bigint as started_before,
        sum(case when periods.ends_at < instants.instant then 1 else 0 end)::bigint as ended_before
    from instants
    cross join periods
    group by instants.instant, periods.period_type
),

numbered as (
    select
        spells.customer_id,
        spells.spell_number,
        entered.period_type,
        spells.state,
        spells.state_kind,
        spells.tier_id,
        entered.started_before + 1 as first_start,
        coalesce(exited.started_before, entered.periods_of_type) as last_start,
        entered.ended_before + 1 as first_end,
        coalesce(exited.ended_before, entered.periods_of_type) as last_end
    from spells
    inner join counted as entered on entered.instant = spells.entered_at
    left join counted as exited
        on exited.instant = spells.exited_at
        and exited.period_type = entered.period_type
),

final as (
    select
        customer_id,
        spell_number,
        period_type,
        state,
        state_kind,
        tier_id,
        first_start,
        last_start,
        first_end,
        last_end
    from numbered
    where first_start <= last_start or first_end <= last_end
)

select * from final

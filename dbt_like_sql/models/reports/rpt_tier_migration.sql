with periods as (
    select * from intermediate.int_periods
),

spells as (
    select * from intermediate.int_tier_spells
),

-- The state at an instant is that of the last observation at or before it.
at_start as (
    select
        periods.period_type,
        periods.period_start,
        spells.customer_id,
        spells.state,
        spells.state_kind,
        spells.tier_id
    from periods
    inner join spells
        on spells.entered_at <= periods.starts_at
        and (spells.exited_at is null or spells.exited_at > periods.starts_at)
),

at_end as (
    select
        periods.period_type,
        periods.period_start,
        spells.customer_id,
        spells.state,
        spells.state_kind,
        spells.tier_id
    from periods
    inner join spells
        on spells.entered_at <= periods.ends_at
        and (spells.exited_at is null or spells.exited_at > periods.ends_at)
),

structural as (
    select distinct
        periods.period_type,
        periods.period_start,
        moves.customer_id
    from periods
    inner join marts.fct_tier_change as moves
        on moves.changed_by > periods.starts_at
        and moves.changed_by <= periods.ends_at
    where moves.is_structural
),

pairs as (
    select
        coalesce(at_start.period_type, at_end.period_type) as period_type,
        coalesce(at_start.period_start, at_end.period_start) as period_start,
        coalesce(at_start.customer_id, at_end.customer_id) as customer_id,
        coalesce(at_start.state_kind, '(joined)') as from_kind,
        coalesce(at_end.state_kind, '(left)') as to_kind,
        coalesce(at_start.state, '(joined)') as from_state,
        coalesce(at_end.state, '(left)') as to_state,
        at_start.tier_id as from_tier_id,
        at_end.tier_id as to_tier_id
    from at_start
    full outer join at_end
        on at_end.period_type = at_start.period_type
        and at_end.period_start = at_start.period_start
        and at_end.customer_id = at_start.customer_id
),

cells as (
    select
        pairs.period_type,
        pairs.period_start,
        pairs.from_kind,
        pairs.to_kind,
        pairs.from_state,
        pairs.to_state,
        pairs.from_tier_id,
        pairs.to_tier_id,
        count(*) as members,
        count(structural.customer_id) filter (
            where pairs.from_kind <> pairs.to_kind or pairs.from_tier_id is distinct from pairs.to_tier_id
        ) as structural_members
    from pairs
    left join structural
        on structural.period_type = pairs.period_type
        and structural.period_start = pairs.period_start
        and structural.customer_id = pairs.customer_id
    group by all
),

with_periods as (
    select
        cells.*,
        periods.period_end,
        periods.ends_at,
        periods.is_complete,
        if(
            cells.from_kind = '(joined)',
            null,
            sum(cells.members) over (
                partition by cells.period_type, cells.period_start, cells.from_kind, cells.from_tier_id
            )
        )::bigint as from_members
    from cells
    inner join periods
        on periods.period_type = cells.period_type
        and periods.period_start = cells.period_start
),

-- Both thresholds at the end of the period; a tier that was deleted by then has its last known threshold. Ranks cannot
-- be compared, because the ranks of a deleted and an existing tier count different tiers. -1 is below every tier.
with_thresholds as (
    select
        with_periods.*,
        if(with_periods.from_kind = 'no_tier', -1, coalesce(from_tiers.threshold, 0)) as from_threshold,
        if(with_periods.to_kind = 'no_tier', -1, coalesce(to_tiers.threshold, 0)) as to_threshold
    from with_periods
    left join intermediate.int_tier_thresholds as from_tiers
        on from_tiers.as_of = with_periods.ends_at
        and from_tiers.tier_id = with_periods.from_tier_id
    left join intermediate.int_tier_thresholds as to_tiers
        on to_tiers.as_of = with_periods.ends_at
        and to_tiers.tier_id = with_periods.to_tier_id
),

final as (
    select
        period_type,
        period_start,
        period_end,
        from_state,
        to_state,
        from_tier_id,
        to_tier_id,
        members,
        from_members,
        members / from_members as share,
        case
            when from_kind = to_kind and from_tier_id is not distinct from to_tier_id then 'unchanged'
            when to_kind = '(left)' then 'leave'
            when from_kind in ('(joined)', 'not_member') then 'enter'
            when to_kind = 'not_member' then 'leave'
            when to_threshold > from_threshold then 'upgrade'
            when to_threshold < from_threshold then 'downgrade'
            else 'lateral'
        end as direction,
        structural_members,
        is_complete
    from with_thresholds
)

select * from final
order by period_type, period_start, from_tier_id nulls first, from_state, to_tier_id nulls first, to_state

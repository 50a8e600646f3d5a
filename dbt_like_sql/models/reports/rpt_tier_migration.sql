with periods as (
    select * from intermediate.int_periods
),

-- Structural moves only matter for customers whose state differs between the start and the end.
structural as (
    select
        movers.period_type,
        movers.period_start,
        movers.from_kind,
        movers.from_tier_id,
        movers.to_kind,
        movers.to_tier_id,
        count(*) as members
    from intermediate.int_period_movers as movers
    inner join periods
        on periods.period_type = movers.period_type
        and periods.period_start = movers.period_start
    where (movers.from_kind <> movers.to_kind or movers.from_tier_id is distinct from movers.to_tier_id)
        and exists (
            select 1
            from marts.fct_tier_change as moves
            where moves.customer_id = movers.customer_id
                and moves.changed_by > periods.starts_at
                and moves.changed_by <= periods.ends_at
                and moves.is_structural
        )
    group by
        movers.period_type,
        movers.period_start,
        movers.from_kind,
        movers.from_tier_id,
        movers.to_kind,
        movers.to_tier_id
),

cells as (
    select
        transitions.period_type,
        transitions.period_start,
        transitions.from_kind,
        transitions.to_kind,
        transitions.from_state,
        transitions.to_state,
        transitions.from_tier_id,
        transitions.to_tier_id,
        transitions.customers as members,
        coalesce(structural.members, 0) as structural_members
    from intermediate.int_period_transitions as transitions
    left join structural
        on structural.period_type = transitions.period_type
        and structural.period_start = transitions.period_start
        and structural.from_kind = transitions.from_kind
        and structural.from_tier_id is not distinct from transitions.from_tier_id
        and structural.to_kind = transitions.to_kind
        and structural.to_tier_id is not distinct from transitions.to_tier_id
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

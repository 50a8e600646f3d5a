with transitions as (
    select * from intermediate.int_inferred_transitions
),

tiers as (
    select
        tier_id,
        tier_name,
        coalesce(threshold, 0) as threshold
    from intermediate.int_tiers
),

cells as (
    select
        transitions.month as period_start,
        transitions.month_end as period_end,
        transitions.was_member,
        case
            when not transitions.was_member then '(joined)'
            when transitions.from_tier_id is null then 'no_tier'
            else from_tiers.tier_name
        end as from_state,
        coalesce(to_tiers.tier_name, 'no_tier') as to_state,
        transitions.from_tier_id,
        transitions.to_tier_id,
        coalesce(from_tiers.threshold, -1) as from_threshold,
        coalesce(to_tiers.threshold, -1) as to_threshold,
        transitions.members,
        if(
            transitions.was_member,
            sum(transitions.members) over (
                partition by transitions.month, transitions.was_member, transitions.from_tier_id
            ),
            null
        )::bigint as from_members
    from transitions
    left join tiers as from_tiers on from_tiers.tier_id = transitions.from_tier_id
    left join tiers as to_tiers on to_tiers.tier_id = transitions.to_tier_id
),

final as (
    select
        'month' as period_type,
        cells.period_start,
        cells.period_end,
        cells.from_state,
        cells.to_state,
        cells.from_tier_id,
        cells.to_tier_id,
        cells.members,
        cells.from_members,
        cells.members / cells.from_members as share,
        case
            when not cells.was_member then 'enter'
            when cells.from_tier_id is not distinct from cells.to_tier_id then 'unchanged'
            when cells.to_threshold > cells.from_threshold then 'upgrade'
            else 'downgrade'
        end as direction,
        -- The replay knows no change of the tiers themselves.
        null::bigint as structural_members,
        true as is_complete,
        'inferred' as basis,
        measure.share_agreeing as agreement_share
    from cells
    cross join intermediate.int_tier_progress_measure as measure
)

select * from final
order by period_start, from_tier_id nulls first, from_state, to_tier_id nulls first, to_state

with cells as (
    select * from reports.rpt_tier_migration
    where period_type = 'month'
),

periods as (
    select * from intermediate.int_periods
    where period_type = 'month'
),

leaving as (
    select
        period_start,
        from_state as state,
        from_tier_id as tier_id,
        members as start_members,
        if(direction = 'unchanged', members, 0) as same,
        if(direction = 'upgrade', members, 0) as upgraded_out,
        if(direction = 'downgrade', members, 0) as downgraded_out,
        if(direction = 'lateral', members, 0) as lateral_out,
        if(direction = 'leave', members, 0) as left_out
    from cells
    where from_tier_id is not null or from_state = 'no_tier'
),

entering as (
    select
        period_start,
        to_state as state,
        to_tier_id as tier_id,
        members as end_members,
        if(direction = 'upgrade', members, 0) as upgraded_in,
        if(direction = 'downgrade', members, 0) as downgraded_in,
        if(direction = 'lateral', members, 0) as lateral_in,
        if(direction = 'enter', members, 0) as entered
    from cells
    where to_tier_id is not null or to_state = 'no_tier'
),

outs as (
    select
        period_start,
        state,
        tier_id,
        sum(start_members) as start_members,
        sum(same) as same,
        sum(upgraded_out) as upgraded_out,
        sum(downgraded_out) as downgraded_out,
        sum(lateral_out) as lateral_out,
        sum(left_out) as left_out
    from leaving
    group by period_start, state, tier_id
),

ins as (
    select
        period_start,
        state,
        tier_id,
        sum(end_members) as end_members,
        sum(upgraded_in) as upgraded_in,
        sum(downgraded_in) as downgraded_in,
        sum(lateral_in) as lateral_in,
        sum(entered) as entered
    from entering
    group by period_start, state, tier_id
),

movement as (
    select
        coalesce(outs.period_start, ins.period_start) as month,
        coalesce(outs.state, ins.state) as state,
        coalesce(outs.tier_id, ins.tier_id) as tier_id,
        coalesce(outs.start_members, 0)::bigint as start_members,
        coalesce(outs.same, 0)::bigint as same,
        coalesce(ins.upgraded_in, 0)::bigint as upgraded_in,
        coalesce(ins.downgraded_in, 0)::bigint as downgraded_in,
        coalesce(ins.lateral_in, 0)::bigint as lateral_in,
        coalesce(ins.entered, 0)::bigint as entered,
        coalesce(outs.upgraded_out, 0)::bigint as upgraded_out,
        coalesce(outs.downgraded_out, 0)::bigint as downgraded_out,
        coalesce(outs.lateral_out, 0)::bigint as lateral_out,
        coalesce(outs.left_out, 0)::bigint as left_out,
        coalesce(ins.end_members, 0)::bigint as end_members
    from outs
    full outer join ins
        on ins.period_start = outs.period_start
        and ins.state = outs.state
        and ins.tier_id is not distinct from outs.tier_id
),

-- The highest threshold at the end of the month. No upgrade is possible from there, or without tiers.
top_thresholds as (
    select
        as_of,
        max(threshold) as top_threshold
    from intermediate.int_tier_thresholds
    where is_listed
    group by as_of
),

with_threshold as (
    select
        movement.*,
        periods.is_complete,
        top_thresholds.top_threshold,
        if(movement.tier_id is null, -1, coalesce(tiers.threshold, 0)) as threshold
    from movement
    inner join periods on periods.period_start = movement.month
    left join top_thresholds on top_thresholds.as_of = periods.ends_at
    left join intermediate.int_tier_thresholds as tiers
        on tiers.as_of = periods.ends_at
        and tiers.tier_id = movement.tier_id
),

final as (
    select
        month,
        state,
        tier_id,
        start_members,
        upgraded_in,
        downgraded_in,
        lateral_in,
        entered,
        upgraded_out,
        downgraded_out,
        lateral_out,
        left_out,
        end_members,
        if(threshold < top_threshold, upgraded_out / nullif(start_members, 0), null) as upgrade_rate,
        if(tier_id is not null, downgraded_out / nullif(start_members, 0), null) as downgrade_rate,
        same / nullif(start_members, 0) as retention_rate_same,
        (same + lateral_out + upgraded_out) / nullif(start_members, 0) as retention_rate_same_or_higher,
        is_complete
    from with_threshold
)

select * from final
order by month, tier_id nulls first

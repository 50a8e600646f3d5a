-- A customer counts in a state from the first day of a span to its last. The running sum of what comes and goes avoids
-- a row for each member and day.
with changes as (
    select
        state,
        tier_id,
        first_day as local_day,
        1 as members,
        points_balance as points
    from marts.fct_member_span
    union all
    select
        state,
        tier_id,
        last_day + 1 as local_day,
        -1 as members,
        -points_balance as points
    from marts.fct_member_span
),

per_day as (
    select
        state,
        tier_id,
        local_day,
        sum(members) as members,
        sum(points) as points
    from changes
    group by state, tier_id, local_day
),

states as (
    select distinct state, tier_id from changes
),

calendar as (
    select local_day from intermediate.int_history_days
),

running as (
    select
        calendar.local_day,
        states.state,
        states.tier_id,
        sum(coalesce(per_day.members, 0)) over running_total as members,
        sum(coalesce(per_day.points, 0)) over running_total as points_outstanding
    from calendar
    cross join states
    left join per_day
        on per_day.local_day = calendar.local_day
        and per_day.state = states.state
        and per_day.tier_id is not distinct from states.tier_id
    window running_total as (
        partition by states.state, states.tier_id
        order by calendar.local_day
    )
),

final as (
    select
        local_day,
        state,
        tier_id,
        members::bigint as members,
        members / sum(members) over (partition by local_day) as share,
        points_outstanding::bigint as points_outstanding,
        points_outstanding / nullif(members, 0) as avg_balance
    from running
    where members > 0
)

select * from final
order by local_day, tier_id nulls first, state

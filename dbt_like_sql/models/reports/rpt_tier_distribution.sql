with clock as (
    select * from intermediate.int_clock
),

lasting as (
    select
        customer_id,
        state,
        state_kind,
        tier_id,
        first_day,
        if(is_open, null, last_day + 1) as end_day
    from intermediate.int_state_days
),

balances as (
    select
        customer_id,
        local_day as entry_date,
        points,
        points_balance as balance
    from intermediate.int_member_days
),

-- Members and balances of a state change when customers enter, leave, or have an entry in between. The running sum of
-- these changes avoids a table of members x days.
entering as (
    select
        lasting.state,
        lasting.state_kind,
        lasting.tier_id,
        lasting.first_day as local_day,
        1 as members,
        coalesce(balances.balance, 0) as points
    from lasting
    asof left join balances
        on balances.customer_id = lasting.customer_id
        and balances.entry_date <= lasting.first_day
),

leaving as (
    select
        lasting.state,
        lasting.state_kind,
        lasting.tier_id,
        lasting.end_day as local_day,
        -1 as members,
        -coalesce(balances.balance, 0) as points
    from (select * from lasting where end_day is not null) as lasting
    asof left join balances
        on balances.customer_id = lasting.customer_id
        and balances.entry_date < lasting.end_day
),

booking as (
    select
        lasting.state,
        lasting.state_kind,
        lasting.tier_id,
        balances.entry_date as local_day,
        0 as members,
        balances.points
    from balances
    inner join lasting
        on lasting.customer_id = balances.customer_id
        and balances.entry_date > lasting.first_day
        and (lasting.end_day is null or balances.entry_date < lasting.end_day)
),

changes as (
    select state, state_kind, tier_id, local_day, members, points from entering
    union all
    select state, state_kind, tier_id, local_day, members, points from leaving
    union all
    select state, state_kind, tier_id, local_day, members, points from booking
),

per_day as (
    select
        state,
        state_kind,
        tier_id,
        local_day,
        sum(members) as members,
        sum(points) as points
    from changes
    group by state, state_kind, tier_id, local_day
),

states as (
    select distinct state, state_kind, tier_id from changes
),

calendar as (
    select unnest(generate_series(history_start_date, local_date, interval 1 day))::date as local_day
    from clock
    where history_start_date is not null
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
        and per_day.state_kind = states.state_kind
        and per_day.tier_id is not distinct from states.tier_id
    window running_total as (
        partition by states.state_kind, states.tier_id
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

-- A period ends with its last day; the current period ends with the day of the last observation.
with clock as (
    select local_date from intermediate.int_clock
),
cells as (
    select period_type, period_start, to_state as state, to_tier_id as tier_id, sum(members) as members
    from reports.rpt_tier_migration
    where to_state <> '(left)'
    group by all
),
days as (
    select periods.period_type, periods.period_start, daily.state, daily.tier_id, daily.members
    from intermediate.int_periods as periods
    cross join clock
    inner join reports.rpt_tier_distribution as daily
        on daily.local_day = if(periods.is_complete, periods.period_end, clock.local_date)
)
select period_type, period_start, state as to_state, tier_id as to_tier_id
from (
    select * from cells
    union all
    select period_type, period_start, state, tier_id, -members from days
)
group by period_type, period_start, state, tier_id
having sum(members) <> 0

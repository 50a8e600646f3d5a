-- The state at the first instant of a period is that of the previous day. 'to_date' begins within a day: excluded.
with cells as (
    select period_type, period_start, from_state as state, from_tier_id as tier_id, sum(members) as members
    from reports.rpt_tier_migration
    where from_state <> '(joined)' and period_type <> 'to_date'
    group by all
),
days as (
    select periods.period_type, periods.period_start, daily.state, daily.tier_id, daily.members
    from intermediate.int_periods as periods
    inner join reports.rpt_tier_distribution as daily on daily.local_day = periods.period_start - 1
    where periods.period_type <> 'to_date'
)
select period_type, period_start, state as from_state, tier_id as from_tier_id
from (
    select * from cells
    where period_start > (select history_start_date from intermediate.int_clock)
    union all
    select period_type, period_start, state, tier_id, -members from days
)
group by period_type, period_start, state, tier_id
having sum(members) <> 0

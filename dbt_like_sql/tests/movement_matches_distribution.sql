-- A month ends with its last day; the current month ends with the day of the last observation.
select movement.month, movement.state, movement.tier_id
from reports.rpt_tier_movement as movement
inner join intermediate.int_periods as periods
    on periods.period_type = 'month'
    and periods.period_start = movement.month
cross join intermediate.int_clock as clock
left join reports.rpt_tier_distribution as daily
    on daily.local_day = if(periods.is_complete, periods.period_end, clock.local_date)
    and daily.state = movement.state
    and daily.tier_id is not distinct from movement.tier_id
where movement.end_members <> coalesce(daily.members, 0)

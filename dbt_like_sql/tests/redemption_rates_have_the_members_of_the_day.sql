-- The members at a period's end are those that the distribution shows for that day.
with members as (
    select local_day, sum(members) as members
    from reports.rpt_tier_distribution
    where state <> 'not_member' or tier_id is not null
    group by local_day
)
select rates.period_type, rates.period_start
from reports.rpt_redemption_rates as rates
cross join intermediate.int_clock as clock
left join members on members.local_day = if(rates.is_complete, rates.period_end, clock.local_date)
where rates.segment = 'all' and rates.segment_tier_id is null
    and rates.members_end <> coalesce(members.members, 0)

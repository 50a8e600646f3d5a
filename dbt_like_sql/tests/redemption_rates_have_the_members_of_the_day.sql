-- Compares the members at the end of a period with the distribution on that day.
with members as (
    select local_day, sum(members) as members
    from reports.rpt_tier_distribution
    where state <> 'not_member' or tier_id is not null
    group by local_day
),
rates as (
    select if(rates.is_complete, rates.period_end, clock.local_date) as local_day, rates.members_end
    from reports.rpt_redemption_rates as rates
    cross join intermediate.int_clock as clock
    where rates.segment = 'all' and rates.segment_tier_id is null
)
select distinct rates.local_day
from rates
left join members on members.local_day = rates.local_day
where rates.members_end <> coalesce(members.members, 0)

-- Compares the customers in each tier on the last day with dim_member.
select tier_id
from (
    select daily.tier_id, daily.members
    from reports.rpt_tier_distribution as daily
    inner join intermediate.int_clock as clock on clock.local_date = daily.local_day
    where daily.tier_id is not null
    union all
    select tier_id, -1 from marts.dim_member where tier_id is not null
)
group by tier_id
having sum(members) <> 0

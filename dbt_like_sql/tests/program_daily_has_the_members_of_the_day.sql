-- Compares with the distribution; other tests compare the migration matrix with it.
with members as (
    select local_day, sum(members) as members
    from reports.rpt_tier_distribution
    where state <> 'not_member' or tier_id is not null
    group by local_day
)
select daily.unit, daily.local_day
from reports.rpt_program_daily as daily
left join members on members.local_day = daily.local_day
where daily.members_end <> coalesce(members.members, 0)

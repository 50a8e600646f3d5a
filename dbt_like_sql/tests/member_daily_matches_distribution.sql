-- Compares members and points on every day and in every state.
select local_day, state, tier_id
from (
    select local_day, state, tier_id, count(*) as members, sum(points_balance) as points
    from marts.fct_member_daily
    group by local_day, state, tier_id
    union all
    select local_day, state, tier_id, -members, -points_outstanding from reports.rpt_tier_distribution
)
group by local_day, state, tier_id
having sum(members) <> 0 or sum(points) <> 0

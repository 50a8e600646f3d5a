select reward_id
from (
    select reward_id, claims, used, points_spent from reports.rpt_reward_performance
    union all
    select reward_id, -1, if(used_at is null, 0, -1), -points_spent from marts.fct_redemption
)
group by reward_id
having sum(claims) <> 0 or sum(used) <> 0 or sum(points_spent) <> 0

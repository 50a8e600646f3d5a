select 'rpt_earning_rule_performance' as report_id, month
from reports.rpt_earning_rule_performance
group by month
having abs(sum(share_of_points) - 1) > 1e-9
union all
select 'rpt_reward_performance' as report_id, month
from reports.rpt_reward_performance
group by month
having abs(sum(share_of_points) - 1) > 1e-9

-- Compares points issued less points reversed over all rules with the points issued in the roll-forward.
select month
from (
    select month, points_issued - reversed as points from reports.rpt_earning_rule_performance
    union all
    select
        month,
        -(issue_purchase + issue_action + issue_referral + issue_tier + issue_manual + issue_reversal)
    from reports.rpt_points_rollforward
    where unit = 'points'
)
group by month
having sum(points) <> 0

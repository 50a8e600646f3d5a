-- Cohorts and funnel count the same customers: those in dim_member who have joined.
select join_month
from (
    select join_month, cohort_size as members from reports.rpt_member_cohort_retention where months_since = 0
    union all
    select join_month, -joined from reports.rpt_member_funnel
)
group by join_month
having sum(members) <> 0

-- Joined members have a state at the end of the month only, and no member is known to have left.
select period_start
from (
    select period_start, from_tier_id as tier_id, members as change
    from reports.rpt_tier_migration_inferred
    where from_state <> '(joined)'
        and period_start > (select min(period_start) from reports.rpt_tier_migration_inferred)
    union all
    select (period_start + interval 1 month)::date as period_start, to_tier_id as tier_id, -members as change
    from reports.rpt_tier_migration_inferred
    where period_start < (select max(period_start) from reports.rpt_tier_migration_inferred)
)
group by period_start, tier_id
having sum(change) <> 0

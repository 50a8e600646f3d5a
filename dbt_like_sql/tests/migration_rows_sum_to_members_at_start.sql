-- The rows of each from_state add up to the customers in it at the start.
select
    period_type,
    period_start,
    from_state,
    from_tier_id
from reports.rpt_tier_migration
where from_state <> '(joined)'
group by period_type, period_start, from_state, from_tier_id
having sum(members) <> max(from_members) or min(from_members) <> max(from_members)

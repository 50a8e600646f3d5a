-- The destinations of one origin add up to everyone who started there.
select
    period_type,
    period_start,
    from_state,
    from_tier_id
from reports.rpt_tier_migration
where from_state <> '(joined)'
group by period_type, period_start, from_state, from_tier_id
having sum(members) <> max(from_members) or min(from_members) <> max(from_members)

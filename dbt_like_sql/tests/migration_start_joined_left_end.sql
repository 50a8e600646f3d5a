-- The customers at both instants are recomputed from the spells.
with entries_and_exits as (
    select entered_at as at, count(*) as customers from intermediate.int_tier_spells group by entered_at
    union all
    select exited_at, -count(*) from intermediate.int_tier_spells where exited_at is not null group by exited_at
),
counted as (
    select
        periods.period_type,
        periods.period_start,
        coalesce(sum(changes.customers) filter (where changes.at <= periods.starts_at), 0) as at_start,
        coalesce(sum(changes.customers) filter (where changes.at <= periods.ends_at), 0) as at_end
    from intermediate.int_periods as periods
    cross join entries_and_exits as changes
    group by periods.period_type, periods.period_start
)
select counted.period_type, counted.period_start
from counted
left join reports.rpt_tier_migration as cells using (period_type, period_start)
group by counted.period_type, counted.period_start, counted.at_start, counted.at_end
having counted.at_start <> coalesce(sum(cells.members) filter (where cells.from_state <> '(joined)'), 0)
    or counted.at_end <> coalesce(sum(cells.members) filter (where cells.to_state <> '(left)'), 0)

-- Compares members and points in every state on the last day of each month and of all.
with days as (
    select max(dates.date_day) as local_day
    from marts.dim_date as dates
    cross join intermediate.int_clock as clock
    where dates.date_day between clock.history_start_date and clock.local_date
    group by dates.month_start
),
spans as (
    select
        days.local_day,
        spans.state,
        spans.tier_id,
        count(*) as members,
        sum(spans.points_balance) as points
    from days
    inner join marts.fct_member_span as spans on days.local_day between spans.first_day and spans.last_day
    group by days.local_day, spans.state, spans.tier_id
)
select local_day, state, tier_id
from (
    select local_day, state, tier_id, members, points from spans
    union all
    select distribution.local_day, state, tier_id, -members as members, -points_outstanding as points
    from reports.rpt_tier_distribution as distribution
    inner join days on days.local_day = distribution.local_day
)
group by local_day, state, tier_id
having sum(members) <> 0 or sum(points) <> 0

select unit, month
from (
    select
        unit,
        month,
        opening,
        lag(closing) over by_unit as closed_at,
        lag(month) over by_unit as closed_month
    from reports.rpt_points_rollforward
    window by_unit as (partition by unit order by month)
)
where opening <> coalesce(closed_at, 0)
    or closed_month + interval 1 month <> month

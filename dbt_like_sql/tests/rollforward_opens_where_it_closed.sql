with months as (
    select
        unit,
        month,
        opening,
        lag(closing) over by_unit as closed_at,
        lag(month) over by_unit as closed_month
    from reports.rpt_points_rollforward
    window by_unit as (partition by unit order by month)
)

select months.unit, months.month
from months
cross join intermediate.int_clock as clock
where months.opening <> coalesce(months.closed_at, 0)
    -- An entry with a wrong year, such as 0001, has a month of its own.
    or (
        months.closed_month + interval 1 month <> months.month
        and months.closed_month >= clock.history_start_date - interval 30 year
        and months.month <= clock.local_date + interval 30 year
    )

with days as (
    select
        dates.date_day,
        lag(dates.date_day) over (order by dates.date_day) as day_before
    from marts.dim_date as dates
)

select days.date_day
from days
cross join intermediate.int_clock as clock
where days.date_day <> days.day_before + 1
    -- An entry with a wrong year has a day of its own.
    and days.day_before >= clock.history_start_date - interval 30 year
    and days.date_day <= clock.local_date + interval 30 year

with clock as (
    select * from intermediate.int_clock
),

-- Entries may be dated before history began, and callers of Rivo's API may date them after today. Of decades without
-- any other entry, a wrong year such as 0001 or 9999 has its one day.
ends as (
    select
        history_start_date,
        local_date,
        (history_start_date - interval 30 year)::date as earliest_day,
        (local_date + interval 30 year)::date as latest_day
    from clock
    where history_start_date is not null
),

entry_days as (
    select distinct entry_date as date_day from intermediate.int_ledger_entries
),

range_of_days as (
    select
        least(min(entry_days.date_day), min(ends.history_start_date)) as first_day,
        greatest(max(entry_days.date_day), max(ends.local_date)) as last_day
    from ends
    left join entry_days on entry_days.date_day between ends.earliest_day and ends.latest_day
),

days as (
    select series.date_day::date as date_day
    from range_of_days
    cross join unnest(generate_series(first_day, last_day, interval 1 day)) as series (date_day)
    where first_day is not null
    union
    select date_day from entry_days
),

final as (
    select
        date_day,
        date_trunc('week', date_day)::date as week_start,
        date_trunc('month', date_day)::date as month_start,
        date_trunc('quarter', date_day)::date as quarter_start,
        isodow(date_day) as day_of_week,
        dayname(date_day) as day_name,
        monthname(date_day) as month_name,
        year(date_day) as year_number
    from days
)

select * from final

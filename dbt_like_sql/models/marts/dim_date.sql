with clock as (
    select * from intermediate.int_clock
),

first_day as (
    select
        least(
            (select min(entry_date) from intermediate.int_ledger_entries),
            (select history_start_date from clock)
        ) as date_day
),

days as (
    select unnest(generate_series(first_day.date_day, clock.local_date, interval 1 day))::date as date_day
    from clock
    cross join first_day
    where first_day.date_day is not null
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

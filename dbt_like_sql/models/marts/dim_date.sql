with clock as (
    select * from intermediate.int_clock
),

-- Entries may be dated before history began, and callers of Rivo's API may date them after today.
ends as (
    select
        least(min(entries.entry_date), min(clock.history_start_date)) as first_day,
        greatest(max(entries.entry_date), min(clock.local_date)) as last_day
    from clock
    left join intermediate.int_ledger_entries as entries on true
),

days as (
    select unnest(generate_series(first_day, last_day, interval 1 day))::date as date_day
    from ends
    where first_day is not null
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

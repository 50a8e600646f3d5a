with clock as (
    select * from intermediate.int_clock
),

-- Before anything was earned by the measure, no tier could be.
bounds as (
    select
        date_trunc('month', min(entries.counts_from))::date as first_entry_month,
        date_trunc('month', min(clock.history_start_date))::date as history_month
    from intermediate.int_tier_progress_entries as entries
    cross join clock
),

-- At most ten years, because an entry may have a wrong year.
limited as (
    select
        greatest(
            (first_entry_month + interval 1 month)::date,
            (history_month - interval 120 month)::date
        ) as first_month,
        (history_month - interval 1 month)::date as last_month
    from bounds
),

final as (
    select
        row_number() over (order by months.month_start) as month_number,
        months.month_start::date as month,
        (months.month_start + interval 1 month - interval 1 day)::date as month_end
    from limited
    cross join unnest(generate_series(limited.first_month, limited.last_month, interval 1 month)) as months (month_start)
    where limited.first_month <= limited.last_month
)

select * from final

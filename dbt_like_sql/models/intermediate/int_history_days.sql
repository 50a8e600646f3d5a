with clock as (
    select * from intermediate.int_clock
),

final as (
    select days.local_day::date as local_day
    from clock
    cross join unnest(generate_series(clock.history_start_date, clock.local_date, interval 1 day)) as days (local_day)
)

select * from final

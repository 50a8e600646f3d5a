with clock as (
    select * from intermediate.int_clock
),

days as (
    select * from intermediate.int_history_days
),

calendar_periods as (
    select distinct 'week' as period_type, date_trunc('week', local_day)::date as period_start from days
    union all
    select distinct 'month' as period_type, date_trunc('month', local_day)::date as period_start from days
    union all
    select distinct 'quarter' as period_type, date_trunc('quarter', local_day)::date as period_start from days
),

bounded as (
    select
        period_type,
        period_start,
        case period_type
            when 'week' then period_start + interval 7 day
            when 'month' then period_start + interval 1 month
            else period_start + interval 3 month
        end::date as next_period_start
    from calendar_periods
),

boundaries as (
    select period_start as local_day from bounded
    union
    select next_period_start from bounded
),

-- Where clocks go back over midnight (in Havana each November), midnight happens twice, and DuckDB returns the second
-- one. The local day begins with the first.
candidates as (
    select
        boundaries.local_day,
        (boundaries.local_day::timestamp at time zone clock.timezone) - hours.earlier * interval 1 hour as instant
    from boundaries
    cross join clock
    cross join (values (0), (1), (2), (3)) as hours (earlier)
),

day_starts as (
    select candidates.local_day, min(candidates.instant) as starts_at
    from candidates
    cross join clock
    where (candidates.instant at time zone clock.timezone)::date >= candidates.local_day
    group by candidates.local_day
),

with_instants as (
    select
        bounded.period_type,
        bounded.period_start,
        (bounded.next_period_start - interval 1 day)::date as period_end,
        first_days.starts_at,
        next_days.starts_at as next_starts_at
    from bounded
    inner join day_starts as first_days on first_days.local_day = bounded.period_start
    inner join day_starts as next_days on next_days.local_day = bounded.next_period_start
),

-- Exclude periods that began before the first observation, because the state at their start is not known.
inside_history as (
    select
        with_instants.period_type,
        with_instants.period_start,
        with_instants.period_end,
        with_instants.starts_at,
        least(with_instants.next_starts_at, clock.observed_at) as ends_at,
        with_instants.next_starts_at <= clock.observed_at as is_complete
    from with_instants
    cross join clock
    where with_instants.starts_at >= clock.history_start_at
),

to_date as (
    select
        'to_date' as period_type,
        history_start_date as period_start,
        local_date as period_end,
        history_start_at as starts_at,
        observed_at as ends_at,
        false as is_complete
    from clock
    where history_start_at is not null
),

periods as (
    select period_type, period_start, period_end, starts_at, ends_at, is_complete from inside_history
    union all
    select period_type, period_start, period_end, starts_at, ends_at, is_complete from to_date
),

final as (
    select
        period_type,
        row_number() over (partition by period_type order by period_start) as period_number,
        period_start,
        period_end,
        starts_at,
        ends_at,
        is_complete
    from periods
)

select * from final

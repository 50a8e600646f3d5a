with clock as (
    select * from intermediate.int_clock
),

dates as (
    select
        count(*) as dates,
        count(*) filter (where points_expire_on is null) as unparseable,
        min(points_expire_text) filter (where points_expire_on is null) as example
    from staging.stg_rivo__customers
    where points_expire_text is not null
),

date_checks as (
    select
        'unparseable_dates' as check_name,
        null as unit,
        unparseable as affected,
        dates as checked,
        unparseable / nullif(dates, 0) as share,
        example as answer,
        if(unparseable > 0, 'attention', 'ok') as status,
        'Expiry dates of customers that could not be parsed: ' || format('{:,}', unparseable) || ' of '
        || format('{:,}', dates) || coalesce(', for example ' || example, '') || '.' as finding
    from dates
),

observed_days as (
    select distinct (observations.observed_at at time zone clock.timezone)::date as local_day
    from intermediate.int_observations as observations
    cross join clock
),

days as (
    select
        count(*) as days,
        count(*) filter (where observed_days.local_day is null) as unobserved,
        max(history.local_day) filter (where observed_days.local_day is null) as last_unobserved
    from intermediate.int_history_days as history
    left join observed_days on observed_days.local_day = history.local_day
),

day_checks as (
    select
        'days_without_sync' as check_name,
        null as unit,
        unobserved as affected,
        days as checked,
        unobserved / nullif(days, 0) as share,
        last_unobserved::varchar as answer,
        if(unobserved > 0, 'note', 'ok') as status,
        'Days since the first sync without a complete read of the customers: ' || format('{:,}', unobserved) || ' of '
        || format('{:,}', days) || coalesce(', most recently ' || last_unobserved, '')
        || '. Tier moves on those days appear at the next sync.' as finding
    from days
),

last_reads as (
    select
        list_name,
        arg_max(is_complete, log_position) as is_complete
    from staging.stg_rivo__sync_log
    group by list_name
),

lists as (
    select
        count(*) as lists,
        count(*) filter (where not is_complete) as failed,
        string_agg(list_name, ', ' order by list_name) filter (where not is_complete) as failed_lists
    from last_reads
),

list_checks as (
    select
        'lists_failed' as check_name,
        null as unit,
        failed as affected,
        lists as checked,
        failed / nullif(lists, 0) as share,
        failed_lists as answer,
        if(failed > 0, 'attention', 'ok') as status,
        if(
            failed > 0,
            'The last read of these lists failed, so their data is older: ' || failed_lists
            || '. See the column error in rivo_raw.sync_log.',
            'The last read of every list is complete.'
        ) as finding
    from lists
),

-- Every read requests the quarantined rows again, so the last read counts all of them.
quarantined as (
    select
        list_name,
        arg_max(rows_quarantined, log_position) as quarantined,
        -- Of two reads within one second, use the larger one, so that an immediate second sync changes no number.
        arg_max(rows_read, (observed_at, rows_read)) as rows_read
    from staging.stg_rivo__sync_log
    where is_complete
    group by list_name
),

rows_read as (
    select
        coalesce(sum(rows_read), 0)::bigint as rows_read,
        coalesce(sum(quarantined), 0)::bigint as quarantined,
        string_agg(list_name, ', ' order by list_name) filter (where quarantined > 0) as quarantined_lists
    from quarantined
),

quarantine_checks as (
    select
        'quarantined_rows' as check_name,
        null as unit,
        quarantined as affected,
        rows_read as checked,
        quarantined / nullif(rows_read, 0) as share,
        quarantined_lists as answer,
        if(quarantined > 0, 'attention', 'ok') as status,
        if(
            quarantined > 0,
            'Quarantined rows, which are in no model: ' || format('{:,}', quarantined) || ' (' || quarantined_lists
            || '). See the column reason in rivo_raw._quarantine.',
            'Every row that Rivo sent was loaded.'
        ) as finding
    from rows_read
),

checks as (
    select check_name, unit, affected, checked, share, answer, status, finding from date_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from day_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from list_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from quarantine_checks
),

final as (
    select
        check_name,
        unit::varchar as unit,
        status,
        answer::varchar as answer,
        affected::bigint as affected,
        checked::bigint as checked,
        share::double as share,
        finding
    from checks
)

select * from final

with source as (
    select * from rivo_raw.sync_log
),

final as (
    select
        list as list_name,
        observed_at,
        log_position,
        kind,
        complete as is_complete,
        requests,
        rows_read,
        rows_new,
        rows_changed,
        rows_deleted,
        rows_quarantined,
        seconds,
        error
    from source
)

select * from final

with syncs as (
    select * from staging.stg_rivo__sync_log
),

settings as (
    select * from rivo_raw.settings
),

observed as (
    select
        max(observed_at) filter (where is_complete) as observed_at,
        min(observed_at) filter (where is_complete and list_name = 'customers') as history_start_at,
        max(observed_at) filter (where is_complete and list_name = 'customers') as customers_observed_at
    from syncs
),

final as (
    select
        settings.timezone,
        observed.observed_at,
        observed.history_start_at,
        observed.customers_observed_at,
        (observed.observed_at at time zone settings.timezone)::date as local_date,
        (observed.history_start_at at time zone settings.timezone)::date as history_start_date
    from observed
    cross join settings
)

select * from final

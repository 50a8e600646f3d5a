with observations as (
    select distinct observed_at
    from staging.stg_rivo__sync_log
    where list_name = 'customers' and is_complete
),

final as (
    select
        observed_at,
        lag(observed_at) over (order by observed_at) as previous_observed_at
    from observations
)

select * from final

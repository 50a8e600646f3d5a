with source as (
    select * from rivo_raw._quarantine
),

-- Without the row itself, which is as Rivo sent it and may hold anything.
final as (
    select
        list as list_name,
        id as row_id,
        reason,
        observed_at
    from source
)

select * from final

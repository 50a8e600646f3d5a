with source as (
    select * from rivo_raw.vip_tiers_history
),

final as (
    select
        id as tier_id,
        name as tier_name,
        threshold,
        valid_from,
        valid_to,
        valid_to is null as is_current
    from source
)

select * from final

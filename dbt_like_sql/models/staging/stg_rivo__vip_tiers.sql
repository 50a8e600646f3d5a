with source as (
    select * from rivo_raw.vip_tiers
),

final as (
    select
        id as tier_id,
        name as tier_name,
        threshold,
        perks,
        "desc" as tier_description,
        created_at,
        updated_at,
        _first_seen_at as first_seen_at,
        _last_seen_at as last_seen_at,
        coalesce(_deleted_at, deleted_at) as deleted_at,
        coalesce(_deleted_at, deleted_at) is not null as is_deleted
    from source
)

select * from final

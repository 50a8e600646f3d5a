with source as (
    select * from rivo_raw.vip_tiers_history
),

-- A tier that Rivo still lists but marks as deleted ends with the first read after the deletion.
deleted as (
    select
        tiers.id,
        min(readings.observed_at) as ended_at
    from rivo_raw.vip_tiers as tiers
    inner join rivo_raw.sync_log as readings
        on readings.list = 'vip_tiers'
        and readings.complete
        and readings.observed_at >= tiers.deleted_at
    group by tiers.id
),

ended as (
    select
        source.id,
        source.name,
        source.threshold,
        source.valid_from,
        least(source.valid_to, deleted.ended_at) as valid_to
    from source
    left join deleted on deleted.id = source.id
    where deleted.ended_at is null or source.valid_from < deleted.ended_at
),

final as (
    select
        id as tier_id,
        name as tier_name,
        threshold,
        valid_from,
        valid_to,
        valid_to is null as is_current
    from ended
)

select * from final

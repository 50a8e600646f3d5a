with history as (
    select * from staging.stg_rivo__vip_tiers_history
),

-- When a tier is added, changed or deleted, the rank of every tier may change.
changes as (
    select valid_from as changed_at from history
    union
    select valid_to as changed_at from history where valid_to is not null
),

intervals as (
    select
        changed_at as valid_from,
        lead(changed_at) over (order by changed_at) as valid_to
    from changes
),

final as (
    select
        history.tier_id,
        history.tier_name,
        history.threshold,
        dense_rank() over (
            partition by intervals.valid_from
            order by coalesce(history.threshold, 0)
        ) as tier_rank,
        intervals.valid_from,
        intervals.valid_to,
        intervals.valid_to is null as is_current
    from intervals
    inner join history
        on history.valid_from <= intervals.valid_from
        and (history.valid_to is null or history.valid_to > intervals.valid_from)
)

select * from final

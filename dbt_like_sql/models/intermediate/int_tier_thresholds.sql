-- Moves are observed by syncs and compared over periods, so these are the instants at which thresholds are needed.
with instants as (
    select observed_at as as_of
    from staging.stg_rivo__sync_log
    where list_name = 'customers' and is_complete
    union
    select ends_at as as_of
    from intermediate.int_periods
),

tiers as (
    select distinct tier_id from intermediate.int_tier_versions
),

grid as (
    select
        instants.as_of,
        tiers.tier_id
    from instants
    cross join tiers
),

listed as (
    select
        grid.as_of,
        grid.tier_id,
        coalesce(versions.threshold, 0) as threshold,
        versions.valid_to is null or versions.valid_to > grid.as_of as is_listed
    from grid
    asof inner join intermediate.int_tier_versions as versions
        on versions.tier_id = grid.tier_id
        and versions.valid_from <= grid.as_of
),

-- For a tier that was never listed, only the threshold that its members show now is known.
final as (
    select * from listed
    union all
    select
        instants.as_of,
        unlisted.tier_id,
        unlisted.threshold,
        false as is_listed
    from instants
    cross join intermediate.int_tiers as unlisted
    where unlisted.tier_rank is null and unlisted.threshold is not null
)

select * from final

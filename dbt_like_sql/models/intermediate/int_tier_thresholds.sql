-- Moves are observed by syncs and compared over periods, so these are the instants at which thresholds are needed.
with instants as (
    select observed_at as as_of
    from intermediate.int_observations
    union
    select ends_at as as_of
    from intermediate.int_periods
),

-- From the end of its last version on, a tier is not listed and keeps its last known threshold.
versions as (
    select
        tier_id,
        threshold,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by tier_id order by valid_from) as next_valid_from
    from intermediate.int_tier_versions
),

listed as (
    select
        instants.as_of,
        versions.tier_id,
        coalesce(versions.threshold, 0) as threshold,
        versions.valid_to is null or versions.valid_to > instants.as_of as is_listed
    from instants
    inner join versions
        on versions.valid_from <= instants.as_of
        and (versions.next_valid_from is null or versions.next_valid_from > instants.as_of)
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

with intervals as (
    select * from intermediate.int_tier_versions
),

-- An interval ends when any tier changes; a version of a tier lasts until its own name, threshold or rank changes.
compared as (
    select
        *,
        coalesce(
            lag(valid_to) over by_time = valid_from
            and lag(tier_name) over by_time is not distinct from tier_name
            and lag(threshold) over by_time is not distinct from threshold
            and lag(tier_rank) over by_time = tier_rank,
            false
        ) as is_continued
    from intervals
    window by_time as (partition by tier_id order by valid_from)
),

numbered as (
    select
        *,
        sum(case when is_continued then 0 else 1 end) over (partition by tier_id order by valid_from) as version_number
    from compared
),

versions as (
    select
        tier_id,
        tier_name,
        threshold,
        tier_rank,
        min(valid_from) as valid_from,
        if(bool_or(is_current), null, max(valid_to)) as valid_to,
        bool_or(is_current) as is_current
    from numbered
    group by tier_id, version_number, tier_name, threshold, tier_rank
),

final as (
    select
        versions.tier_id,
        versions.tier_name,
        tiers.tier_name as current_tier_name,
        versions.threshold,
        versions.tier_rank,
        versions.valid_from,
        versions.valid_to,
        versions.is_current
    from versions
    inner join intermediate.int_tiers as tiers on tiers.tier_id = versions.tier_id
)

select * from final

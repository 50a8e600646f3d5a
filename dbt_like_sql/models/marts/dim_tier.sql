with final as (
    select
        versions.tier_id,
        versions.tier_name,
        tiers.tier_name as current_tier_name,
        versions.threshold,
        versions.tier_rank,
        versions.valid_from,
        versions.valid_to,
        versions.is_current
    from intermediate.int_tier_versions as versions
    inner join intermediate.int_tiers as tiers on tiers.tier_id = versions.tier_id
)

select * from final

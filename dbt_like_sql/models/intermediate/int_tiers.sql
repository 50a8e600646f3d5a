with listed as (
    select
        tier_id,
        arg_max(tier_name, valid_from) as tier_name,
        arg_max(threshold, valid_from) as threshold,
        arg_max(tier_rank, valid_from) as tier_rank,
        bool_or(is_current) as is_current
    from intermediate.int_tier_versions
    group by tier_id
),

-- Members may hold a tier that is not, or no longer, in the list of tiers.
held as (
    select distinct vip_tier_id as tier_id
    from staging.stg_rivo__customers_history
    where vip_tier_id is not null
),

known as (
    select tier_id, tier_name from staging.stg_rivo__vip_tiers
),

-- A customer's row includes the name and threshold of the tier held; use the row that was listed last.
shown as (
    select
        vip_tier_id as tier_id,
        arg_max(vip_tier_name, (coalesce(deleted_at, timestamptz 'infinity'), customer_id)) as tier_name,
        arg_max(vip_tier_threshold, (coalesce(deleted_at, timestamptz 'infinity'), customer_id)) as threshold
    from staging.stg_rivo__customers
    where vip_tier_id is not null
    group by vip_tier_id
),

final as (
    select
        coalesce(listed.tier_id, held.tier_id) as tier_id,
        -- Use the current name for history too, because a renamed tier is the same tier.
        coalesce(
            listed.tier_name,
            known.tier_name,
            shown.tier_name,
            'Tier ' || coalesce(listed.tier_id, held.tier_id)
        ) as tier_name,
        if(listed.tier_id is null, shown.threshold, listed.threshold) as threshold,
        listed.tier_rank,
        coalesce(listed.is_current, false) as is_current
    from listed
    full outer join held on held.tier_id = listed.tier_id
    left join known on known.tier_id = coalesce(listed.tier_id, held.tier_id)
    left join shown on shown.tier_id = held.tier_id
)

select * from final

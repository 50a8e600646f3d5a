with tiers as (
    select
        tier_id,
        tier_name,
        coalesce(threshold, 0) as threshold,
        -- Of tiers with equal thresholds, only the first is the next tier of anyone.
        lag(coalesce(threshold, 0)) over (order by coalesce(threshold, 0), tier_id) as previous_threshold
    from intermediate.int_tiers
    where is_current
),

-- No rows if no measure agrees with the tiers held, because a wrong gap is worse than none.
progress as (
    select
        progress.customer_id,
        progress.measure,
        progress.progress,
        progress.tier_id,
        progress.held_threshold
    from intermediate.int_tier_progress as progress
    inner join intermediate.int_tier_progress_measure as chosen on chosen.measure = progress.measure
    where chosen.is_shown
),

final as (
    select
        progress.customer_id,
        members.email,
        progress.tier_id as current_tier_id,
        coalesce(members.tier_name, 'no_tier') as current,
        tiers.tier_id as next_tier_id,
        tiers.tier_name as next,
        progress.measure,
        progress.progress,
        tiers.threshold,
        greatest(tiers.threshold - progress.progress, 0)::decimal(18, 4) as gap,
        least(greatest(progress.progress / nullif(tiers.threshold, 0), 0), 1) as progress_share
    from progress
    inner join tiers
        on tiers.threshold > progress.held_threshold
        and (tiers.previous_threshold is null or tiers.previous_threshold <= progress.held_threshold)
    left join marts.dim_member as members on members.customer_id = progress.customer_id
)

select * from final
order by gap, customer_id

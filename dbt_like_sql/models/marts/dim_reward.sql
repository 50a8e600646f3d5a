with versions as (
    select * from staging.stg_rivo__rewards_history
),

rewards as (
    select * from staging.stg_rivo__rewards
),

final as (
    select
        versions.reward_id,
        versions.reward_name,
        coalesce(rewards.reward_name, versions.reward_name) as current_reward_name,
        versions.is_enabled,
        versions.reward_type,
        versions.source,
        versions.points_amount,
        versions.points_type,
        versions.reward_value,
        versions.min_order_value_in_cents,
        versions.expiry_months,
        versions.valid_from,
        versions.valid_to,
        versions.is_current
    from versions
    left join rewards on rewards.reward_id = versions.reward_id
)

select * from final

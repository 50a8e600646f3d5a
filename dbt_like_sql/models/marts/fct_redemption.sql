with clock as (
    select * from intermediate.int_clock
),

redemptions as (
    select * from intermediate.int_redemptions
),

-- Rivo sends the reward's terms at the time of the claim with the redemption. If it does not, use the current terms.
with_terms as (
    select
        redemptions.redemption_id,
        redemptions.customer_id,
        redemptions.reward_id,
        redemptions.code,
        redemptions.redemption_name,
        coalesce(redemptions.claimed_reward_name, rewards.reward_name) as reward_name,
        coalesce(redemptions.claimed_reward_type, rewards.reward_type) as reward_type,
        coalesce(redemptions.claimed_points_type, rewards.points_type) as points_type,
        coalesce(redemptions.claimed_reward_value, rewards.reward_value) as reward_value,
        coalesce(redemptions.claimed_points_amount, rewards.points_amount) as reward_price,
        redemptions.claimed_at,
        redemptions.claim_date,
        redemptions.points_spent,
        redemptions.credits_spent,
        redemptions.expires_at,
        redemptions.used_at,
        redemptions.revoked_at,
        redemptions.refunded_at
    from redemptions
    left join staging.stg_rivo__rewards as rewards on rewards.reward_id = redemptions.reward_id
),

valued as (
    select
        with_terms.*,
        type_values.assumed_value,
        coalesce(type_values.value_basis, 'unknown') as type_basis,
        if(with_terms.points_spent > 0, with_terms.points_spent, with_terms.credits_spent) as spent
    from with_terms
    left join seeds.reward_type_values as type_values on type_values.reward_type = with_terms.reward_type
),

final as (
    select
        valued.redemption_id,
        valued.customer_id,
        valued.reward_id,
        valued.reward_name,
        valued.reward_type,
        valued.code,
        valued.claimed_at,
        valued.claim_date,
        valued.points_spent,
        valued.credits_spent,
        case
            when valued.type_basis = 'assumed' then valued.assumed_value
            when valued.type_basis <> 'reward_value' then null
            when valued.points_type = 'fixed' then valued.reward_value
            when valued.reward_price > 0
                then (valued.reward_value::decimal(38, 4) * valued.spent / valued.reward_price)::decimal(18, 4)
            else valued.reward_value
        end as redemption_value,
        case
            when valued.type_basis = 'assumed' and valued.assumed_value is not null then 'assumed'
            when valued.type_basis <> 'reward_value' or valued.reward_value is null then 'unknown'
            when valued.points_type = 'fixed' or coalesce(valued.reward_price, 0) = 0 then 'fixed'
            -- If points_type is unknown, a reward that cost exactly its price is a fixed one.
            when valued.points_type is null and valued.spent = valued.reward_price then 'fixed'
            else 'incremental'
        end as value_basis,
        valued.expires_at,
        valued.used_at,
        valued.revoked_at,
        valued.refunded_at,
        case
            when valued.revoked_at <= clock.observed_at then 'revoked'
            when valued.refunded_at <= clock.observed_at then 'refunded'
            when valued.used_at <= clock.observed_at then 'used'
            when valued.expires_at <= clock.observed_at then 'expired'
            else 'open'
        end as status,
        date_diff('millisecond', valued.claimed_at, valued.used_at) / 3600000.0::double as hours_to_use
    from valued
    cross join clock
)

select * from final

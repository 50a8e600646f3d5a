with deliveries as (
    select
        delivery_id,
        customer_id,
        vip_tier_id,
        occurred_at,
        lead(vip_tier_id) over (
            partition by customer_id
            order by occurred_at, received_at, delivery_id
        ) as following_tier_id,
        received_at
    from staging.stg_rivo__webhook_events
    where starts_with(topic, 'customer_vip_tier/')
        and customer_id is not null
),

observations as (
    select * from intermediate.int_observations
),

placed as (
    select
        deliveries.delivery_id,
        deliveries.customer_id,
        deliveries.vip_tier_id,
        deliveries.following_tier_id,
        deliveries.occurred_at,
        observations.observed_at as observed_by,
        row_number() over (
            partition by deliveries.customer_id, observations.observed_at
            order by deliveries.occurred_at desc, deliveries.received_at desc, deliveries.delivery_id desc
        ) = 1 as is_last_before_observation
    from deliveries
    left join observations
        on deliveries.occurred_at <= observations.observed_at
        and (
            observations.previous_observed_at is null
            or deliveries.occurred_at > observations.previous_observed_at
        )
),

final as (
    select
        placed.delivery_id,
        placed.customer_id,
        placed.vip_tier_id,
        placed.occurred_at,
        placed.observed_by,
        placed.is_last_before_observation,
        customers.vip_tier_id as observed_tier_id,
        case
            when not placed.is_last_before_observation then null
            when placed.vip_tier_id is null or customers.customer_id is null then null
            when placed.vip_tier_id = customers.vip_tier_id then true
            -- Reading all customers takes a while: a later change may already show in the same observation.
            when placed.following_tier_id = customers.vip_tier_id then null
            else false
        end as is_confirmed
    from placed
    left join staging.stg_rivo__customers_history as customers
        on customers.customer_id = placed.customer_id
        and customers.valid_from <= placed.observed_by
        and (customers.valid_to is null or customers.valid_to > placed.observed_by)
)

select * from final

with source as (
    select * from rivo_raw.webhook_events
),

final as (
    select
        delivery_id,
        topic,
        form,
        received_at,
        sent_at,
        started_at,
        -- The body has the time of the change, if any; the older form of signature has no time of sending.
        coalesce(started_at, sent_at, received_at) as occurred_at,
        object_id,
        customer_id,
        vip_tier_id
    from source
)

select * from final

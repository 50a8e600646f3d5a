with final as (
    select
        lot_event_id as event_id,
        unit,
        lot_leg as leg,
        customer_id,
        sum(if(kind = 'redeemed', amount, 0))::decimal(18, 4) as redeemed,
        sum(if(kind = 'expired', amount, 0))::decimal(18, 4) as expired,
        sum(if(kind = 'reversed', amount, 0))::decimal(18, 4) as reversed,
        max(allocated_at) as last_used_at
    from intermediate.int_points_allocations
    group by lot_event_id, unit, lot_leg, customer_id
)

select * from final

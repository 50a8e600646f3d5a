with final as (
    select
        lot_event_id || '-' || unit || '-' || lot_leg as lot_entry_id,
        debit_event_id || '-' || unit || '-' || debit_leg as debit_entry_id,
        customer_id,
        unit,
        amount,
        kind,
        basis,
        allocated_at
    from intermediate.int_points_allocations
)

select * from final

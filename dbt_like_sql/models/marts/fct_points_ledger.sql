with final as (
    select
        event_id || '-' || unit || '-' || leg as entry_id,
        event_id,
        customer_id,
        unit,
        leg,
        entry_class,
        earn_basis,
        source,
        earning_rule_id,
        redemption_id,
        order_id,
        amount,
        entry_at,
        entry_date,
        balance_after,
        tier_id_at_entry
    from intermediate.int_ledger_entries
    where is_counted
)

select * from final

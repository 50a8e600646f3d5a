with entries as (
    select * from intermediate.int_ledger_entries
    where is_counted
),

with_balance as (
    select
        entry_id,
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
        sum(amount) over (
            partition by customer_id, unit
            order by entry_at, event_id, leg
            rows between unbounded preceding and current row
        )::decimal(18, 4) as balance_after
    from entries
),

final as (
    select
        with_balance.entry_id,
        with_balance.event_id,
        with_balance.customer_id,
        with_balance.unit,
        with_balance.leg,
        with_balance.entry_class,
        with_balance.earn_basis,
        with_balance.source,
        with_balance.earning_rule_id,
        with_balance.redemption_id,
        with_balance.order_id,
        with_balance.amount,
        with_balance.entry_at,
        with_balance.entry_date,
        with_balance.balance_after,
        -- Null before the start of history and while the customer was absent.
        if(
            spells.exited_at is null or spells.exited_at > with_balance.entry_at,
            spells.tier_id,
            null
        ) as tier_id_at_entry
    from with_balance
    asof left join intermediate.int_tier_spells as spells
        on spells.customer_id = with_balance.customer_id
        and spells.entered_at <= with_balance.entry_at
)

select * from final

-- The balance after the last entry, the sum of all entries and the balance in dim_member must be equal.
with ledger as (
    select
        customer_id,
        unit,
        sum(amount) as total,
        arg_max(balance_after, (entry_at, event_id, leg)) as last_balance
    from marts.fct_points_ledger
    where customer_id is not null
    group by customer_id, unit
),
members as (
    select customer_id, 'points' as unit, points_balance::decimal(18, 4) as balance from marts.dim_member
    union all
    select customer_id, 'credits' as unit, credits_balance as balance from marts.dim_member
)
select coalesce(ledger.customer_id, members.customer_id) as customer_id
from ledger
full outer join members on members.customer_id = ledger.customer_id and members.unit = ledger.unit
where coalesce(ledger.total, 0) <> coalesce(members.balance, 0)
    or coalesce(ledger.total, 0) <> coalesce(ledger.last_balance, 0)

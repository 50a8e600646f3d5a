-- The remaining amounts of a customer's lots, less the debits that no credit has met, are the balance. Both cannot be
-- left over: a debit without a lot takes from the next one.
with ledger as (
    select
        customer_id,
        unit,
        sum(amount) as balance,
        -sum(if(amount < 0, amount, 0)) as debits
    from marts.fct_points_ledger
    where customer_id is not null
    group by customer_id, unit
),
lots as (
    select
        customer_id,
        unit,
        sum(remaining) as remaining,
        sum(issued - remaining) as taken
    from marts.fct_points_lot
    group by customer_id, unit
)
select ledger.customer_id, ledger.unit
from ledger
left join lots on lots.customer_id = ledger.customer_id and lots.unit = ledger.unit
where coalesce(lots.remaining, 0) - (ledger.debits - coalesce(lots.taken, 0)) <> ledger.balance
    or (coalesce(lots.remaining, 0) > 0 and ledger.debits > coalesce(lots.taken, 0))

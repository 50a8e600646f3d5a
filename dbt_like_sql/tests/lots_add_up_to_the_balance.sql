-- The remaining amounts of a customer's lots add up to the balance of the day, or to 0 if that is negative.
with left_over as (
    select as_of_type, as_of_date, customer_id, unit, sum(remaining) as remaining
    from marts.fct_points_lot
    where as_of_type = 'now'
        or as_of_date = (select max(as_of_date) from marts.fct_points_lot where as_of_type = 'month_end')
    group by as_of_type, as_of_date, customer_id, unit
),
balances as (
    select
        left_over.as_of_type,
        left_over.as_of_date,
        left_over.customer_id,
        left_over.unit,
        sum(entries.amount) as balance
    from left_over
    inner join marts.fct_points_ledger as entries
        on entries.customer_id = left_over.customer_id
        and entries.unit = left_over.unit
        and entries.entry_date <= left_over.as_of_date
    group by left_over.as_of_type, left_over.as_of_date, left_over.customer_id, left_over.unit
)
select left_over.as_of_date, left_over.customer_id, left_over.unit
from left_over
inner join balances using (as_of_type, as_of_date, customer_id, unit)
where left_over.remaining <> greatest(balances.balance, 0)

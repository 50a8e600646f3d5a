-- At the last sync, each entry with a positive amount is one lot, and there are no others.
select entry_id
from (
    select entry_id, 1 as lots, issued as amount from marts.fct_points_lot where as_of_type = 'now'
    union all
    select entries.entry_id, -1, -entries.amount
    from marts.fct_points_ledger as entries
    cross join intermediate.int_clock as clock
    where entries.amount > 0
        and entries.customer_id is not null
        and entries.entry_date <= clock.local_date
)
group by entry_id
having sum(lots) <> 0 or sum(amount) <> 0

-- A debit gives no more to lots than its own amount, to lots of its own customer only, and not before it happened.
with taken as (
    select
        debit_event_id,
        debit_leg,
        unit,
        customer_id,
        sum(amount) as amount,
        min(allocated_at) as first_allocated_at
    from intermediate.int_points_allocations
    group by debit_event_id, debit_leg, unit, customer_id
)
select taken.debit_event_id as event_id
from taken
left join marts.fct_points_ledger as entries
    on entries.event_id = taken.debit_event_id
    and entries.leg = taken.debit_leg
    and entries.unit = taken.unit
    and entries.customer_id = taken.customer_id
where coalesce(taken.amount > -entries.amount or taken.first_allocated_at < entries.entry_at, true)

-- Something can only be taken from an entry that added at least as much, of the same customer.
select used.event_id, used.customer_id
from intermediate.int_used_lots as used
left join intermediate.int_ledger_entries as entries
    on entries.event_id = used.event_id
    and entries.unit = used.unit
    and entries.leg = used.leg
    and entries.customer_id = used.customer_id
    and entries.is_counted
where coalesce(used.redeemed + used.expired + used.reversed > entries.amount, true)

-- Compares the last closing with the sum of all balances, computed from Rivo's events.
select unit
from (
    select unit, arg_max(closing, month) as amount from reports.rpt_points_rollforward group by unit
    union all
    select unit, -sum(ledger_balance) from reports.rpt_ledger_reconciliation group by unit
    union all
    select unit, -sum(amount) from marts.fct_points_ledger where customer_id is null group by unit
)
group by unit
having sum(amount) <> 0

-- Compares the last closing with the sum of all balances, computed from Rivo's events.
with months as (
    select unit, closing, row_number() over (partition by unit order by month desc) as from_last
    from reports.rpt_points_rollforward
)
select unit
from (
    select unit, closing as amount from months where from_last = 1
    union all
    select unit, -sum(ledger_balance) from reports.rpt_ledger_reconciliation group by unit
    union all
    select unit, -sum(amount) from marts.fct_points_ledger where customer_id is null group by unit
)
group by unit
having sum(amount) <> 0

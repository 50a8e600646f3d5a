-- Returns the members whose ledger differs from Rivo's balance, if they are more than 1 % of all.
with members as (
    select customer_id, diff, reason, is_reconciled
    from reports.rpt_ledger_reconciliation
    where unit = 'points' and is_member and tally is not null
)
select customer_id, diff, reason
from members
where not is_reconciled
    and (select count(*) filter (where not is_reconciled) > 0.01 * count(*) from members)

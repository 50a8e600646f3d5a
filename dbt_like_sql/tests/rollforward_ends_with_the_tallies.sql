-- Compares with the balances that Rivo shows, over all customers with a tally.
select unit, closing, tallies
from (
    select
        unit,
        sum(ledger_balance) as closing,
        sum(tally) as tallies,
        sum(abs(tally)) as size
    from reports.rpt_ledger_reconciliation
    where tally is not null
    group by unit
)
where abs(closing - tallies) > 0.01 * size

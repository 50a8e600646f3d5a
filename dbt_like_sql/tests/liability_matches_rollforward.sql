with liability as (
    select
        month,
        unit,
        sum(outstanding) + sum(unallocated_debits) as closing
    from reports.rpt_points_liability
    group by month, unit
)
select
    coalesce(rollforward.month, liability.month) as month,
    coalesce(rollforward.unit, liability.unit) as unit,
    rollforward.closing,
    liability.closing as liability_closing
from reports.rpt_points_rollforward as rollforward
full join liability on liability.month = rollforward.month and liability.unit = rollforward.unit
where rollforward.closing is distinct from liability.closing

with vintages as (
    select
        month,
        unit,
        sum(remaining) as remaining
    from reports.rpt_points_vintage
    group by month, unit
),
liability as (
    select
        month,
        unit,
        sum(outstanding) as outstanding
    from reports.rpt_points_liability
    where earn_basis <> '(no_basis)'
    group by month, unit
)
select vintages.month, vintages.unit, vintages.remaining, liability.outstanding
from vintages
left join liability on liability.month = vintages.month and liability.unit = vintages.unit
where vintages.remaining is distinct from liability.outstanding

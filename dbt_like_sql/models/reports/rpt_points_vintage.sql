with clock as (
    select local_date from intermediate.int_clock
),

changes as (
    select
        unit,
        issue_month,
        month,
        sum(issued) as issued,
        sum(redeemed) as redeemed,
        sum(expired) as expired,
        sum(reversed) as reversed
    from intermediate.int_points_vintage_changes
    group by unit, issue_month, month
),

months as (
    select
        rollforward.unit,
        rollforward.month,
        rollforward.is_complete
    from reports.rpt_points_rollforward as rollforward
    cross join clock
    where rollforward.month <= clock.local_date
),

ages as (
    select
        vintages.unit,
        vintages.issue_month,
        months.month,
        months.is_complete
    from (select distinct unit, issue_month from changes) as vintages
    inner join months
        on months.unit = vintages.unit
        and months.month >= vintages.issue_month
),

totals as (
    select
        ages.unit,
        ages.issue_month,
        ages.month,
        ages.is_complete,
        sum(coalesce(changes.issued, 0)) over to_date as issued,
        sum(coalesce(changes.redeemed, 0)) over to_date as redeemed,
        sum(coalesce(changes.expired, 0)) over to_date as expired,
        sum(coalesce(changes.reversed, 0)) over to_date as reversed
    from ages
    left join changes
        on changes.unit = ages.unit
        and changes.issue_month = ages.issue_month
        and changes.month = ages.month
    window to_date as (
        partition by ages.unit, ages.issue_month
        order by ages.month
        rows between unbounded preceding and current row
    )
),

final as (
    select
        issue_month,
        unit,
        date_diff('month', issue_month, month) as age_months,
        month,
        issued::decimal(18, 4) as issued,
        redeemed::decimal(18, 4) as redeemed,
        expired::decimal(18, 4) as expired,
        reversed::decimal(18, 4) as reversed,
        (issued - redeemed - expired - reversed)::decimal(18, 4) as remaining,
        expired / nullif(issued, 0) as breakage,
        is_complete
    from totals
)

select * from final
order by unit desc, issue_month, age_months

with latest as (
    select
        unit,
        value_per_point,
        row_number() over (partition by unit order by month desc, earn_basis) as from_last
    from reports.rpt_points_liability
),

expiring as (
    select
        date_trunc('month', expires_on)::date as month,
        unit,
        basis,
        is_used,
        count(distinct customer_id) as members,
        sum(points) as points
    from reports.rpt_points_expiring
    group by date_trunc('month', expires_on), unit, basis, is_used
),

final as (
    select
        expiring.month,
        expiring.unit,
        expiring.basis,
        expiring.members,
        expiring.points::decimal(18, 4) as points,
        (expiring.points::decimal(38, 4) * latest.value_per_point)::decimal(38, 4) as value,
        latest.value_per_point,
        if(latest.value_per_point is null, expiring.points, 0)::decimal(18, 4) as points_unvalued,
        expiring.is_used
    from expiring
    left join latest
        on latest.unit = expiring.unit
        and latest.from_last = 1
)

select * from final
order by unit desc, month, basis

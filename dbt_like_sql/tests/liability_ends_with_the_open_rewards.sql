with months as (
    select
        unit,
        month,
        sum(open_rewards) as open_rewards,
        row_number() over (partition by unit order by month desc) as from_last
    from reports.rpt_points_liability
    group by unit, month
),
codes as (
    select
        if(credits_spent > 0 and points_spent = 0, 'credits', 'points') as unit,
        count(*) as open_rewards
    from marts.fct_redemption
    where status = 'open'
    group by 1
)
select months.unit, months.open_rewards, codes.open_rewards as open_codes
from months
left join codes on codes.unit = months.unit
where months.from_last = 1 and months.open_rewards <> coalesce(codes.open_rewards, 0)

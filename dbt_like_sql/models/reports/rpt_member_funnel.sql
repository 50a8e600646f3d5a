with clock as (
    select * from intermediate.int_clock
),

codes as (
    select
        customer_id,
        count(*) as claims,
        count(used_at) as uses
    from marts.fct_redemption
    group by customer_id
),

-- Each step only counts customers who reached all previous steps.
steps as (
    select
        date_trunc('month', joined.join_date)::date as join_month,
        members.first_earn_at is not null as has_earned,
        members.first_earn_at is not null and codes.claims >= 1 as has_redeemed,
        members.first_earn_at is not null and codes.uses >= 1 as has_used,
        members.first_earn_at is not null and codes.uses >= 1 and codes.claims >= 2 as has_redeemed_again
    from marts.dim_member as members
    inner join intermediate.int_join_dates as joined on joined.customer_id = members.customer_id
    cross join clock
    left join codes on codes.customer_id = members.customer_id
    where joined.joined_at <= clock.observed_at
),

final as (
    select
        join_month,
        count(*) as joined,
        count(*) filter (where has_earned) as first_earn,
        count(*) filter (where has_redeemed) as first_redeem,
        count(*) filter (where has_used) as first_use,
        count(*) filter (where has_redeemed_again) as second_redeem
    from steps
    group by join_month
)

select * from final
order by join_month

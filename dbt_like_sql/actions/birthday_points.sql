with clock as (
    select * from intermediate.int_clock
),

-- Where Rivo's own birthday rule is active, it gives the points.
birthday_rules as (
    select count(*) as active
    from marts.dim_earning_rule
    where rule_trigger = 'customer_birthday' and is_active and is_current
),

members as (
    select * from staging.stg_rivo__customers
    where is_member and not is_deleted
),

final as (
    select
        members.customer_id,
        extract(year from clock.local_date)::integer as year,
        150 as points_amount,
        'Happy birthday!' as external_note
    from members
    cross join clock
    cross join birthday_rules
    where birthday_rules.active = 0
        -- Members born on 29 February get their points on the 28th in other years.
        and members.birthday in (
            strftime(clock.local_date, '%m-%d'),
            if(
                strftime(clock.local_date, '%m-%d') = '02-28'
                and extract(day from clock.local_date + interval 1 day) = 1,
                '02-29',
                null
            )
        )
)

select * from final
order by customer_id

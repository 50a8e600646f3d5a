with clock as (
    select * from intermediate.int_clock
),

-- The last seven days, so that a failed sync or a limit costs no member the points.
days as (
    select dates.date_day
    from marts.dim_date as dates
    cross join clock
    where dates.date_day between clock.local_date - 6 and clock.local_date
),

birthdays as (
    select date_day, strftime(date_day, '%m-%d') as birthday
    from days
    union all
    -- Members born on 29 February get their points on the 28th in other years.
    select date_day, '02-29' as birthday
    from days
    where strftime(date_day, '%m-%d') = '02-28' and extract(day from date_day + 1) = 1
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
        extract(year from birthdays.date_day)::integer as year,
        150 as points_amount,
        'Happy birthday!' as external_note
    from members
    inner join birthdays on birthdays.birthday = members.birthday
    cross join birthday_rules
    where birthday_rules.active = 0
)

select * from final
order by customer_id

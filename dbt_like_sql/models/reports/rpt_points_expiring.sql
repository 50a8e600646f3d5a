with clock as (
    select local_date from intermediate.int_clock
),

members as (
    select
        customer_id,
        email,
        points_expire_on,
        points_balance,
        credits_balance
    from marts.dim_member
    where is_member and not is_deleted
),

due as (
    select
        customer_id,
        'points' as unit,
        'customer' as basis,
        points_expire_on as expires_on,
        points_balance as amount
    from members
    where points_balance > 0 and points_expire_on is not null
    union all
    select
        customer_id,
        unit,
        'entry' as basis,
        expires_on,
        sum(remaining) as amount
    from marts.fct_points_lot
    where remaining > 0 and expires_on is not null
    group by customer_id, unit, expires_on
),

-- If a basis explains the past expiries, the other one is wrong for this shop.
bases as (
    select
        unit,
        basis,
        is_used,
        max(if(is_used, 1, 0)) over (partition by unit) = 1 as is_decided
    from intermediate.int_expiry_basis
),

final as (
    select
        due.customer_id,
        members.email,
        due.unit,
        due.basis,
        due.expires_on,
        due.amount::decimal(18, 4) as points,
        date_diff('day', clock.local_date, due.expires_on) as days_left,
        if(due.unit = 'points', members.points_balance, members.credits_balance)::decimal(18, 4) as balance,
        bases.is_used
    from due
    inner join members on members.customer_id = due.customer_id
    inner join bases
        on bases.unit = due.unit
        and bases.basis = due.basis
    cross join clock
    where due.expires_on >= clock.local_date
        and (bases.is_used or not bases.is_decided)
)

select * from final
order by expires_on, points desc, customer_id, unit, basis

with clock as (
    select * from intermediate.int_clock
),

referrals as (
    select * from staging.stg_rivo__referrals
),

-- One customer per address: one that Rivo still lists if possible, then the lowest id.
addresses as (
    select
        lower(trim(email)) as email,
        arg_min(customer_id, (is_deleted, customer_id)) as customer_id
    from staging.stg_rivo__customers
    where trim(email) <> ''
    group by lower(trim(email))
),

with_customers as (
    select
        referrals.referral_id,
        referrals.status,
        referrals.created_at,
        referrals.claimed_at,
        -- The last status change of a completed referral is its completion.
        coalesce(referrals.completed_at, if(referrals.status = 'completed', referrals.status_changed_at, null))
            as completed_at,
        coalesce(referrals.advocate_customer_id, advocates.customer_id) as advocate_customer_id,
        coalesce(referrals.friend_customer_id, friends.customer_id) as friend_customer_id,
        referrals.advocate_email,
        referrals.friend_email,
        case
            when referrals.advocate_customer_id is not null then 'customer_id'
            when advocates.customer_id is not null then 'email'
        end as advocate_basis,
        referrals.friend_order_id,
        referrals.block_reason,
        referrals.is_deleted
    from referrals
    left join addresses as advocates on advocates.email = trim(referrals.advocate_email)
    left join addresses as friends on friends.email = trim(referrals.friend_email)
),

final as (
    select
        with_customers.referral_id,
        with_customers.status,
        with_customers.created_at,
        (with_customers.created_at at time zone clock.timezone)::date as created_date,
        with_customers.claimed_at,
        with_customers.completed_at,
        with_customers.advocate_customer_id,
        with_customers.friend_customer_id,
        with_customers.advocate_email,
        with_customers.friend_email,
        with_customers.advocate_basis,
        coalesce(with_customers.status in ('pending', 'completed'), false) as is_claimed,
        coalesce(with_customers.status = 'completed', false) as is_completed,
        if(
            with_customers.status = 'completed',
            date_diff(
                'day',
                (with_customers.created_at at time zone clock.timezone)::date,
                (with_customers.completed_at at time zone clock.timezone)::date
            ),
            null
        ) as days_to_complete,
        with_customers.friend_order_id,
        with_customers.block_reason,
        with_customers.is_deleted
    from with_customers
    cross join clock
)

select * from final

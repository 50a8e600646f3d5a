with source as (
    select * from rivo_raw.customers_history
),

final as (
    select
        id as customer_id,
        vip_tier_id,
        loyalty_status,
        coalesce(loyalty_status = 'member', false) as is_member,
        points_tally,
        credits_tally,
        orders_count,
        total_spent,
        nullif(trim(points_expire_at), '') as points_expire_text,
        try_strptime(points_expire_at, ['%b %d, %Y', '%B %d, %Y'])::date as points_expire_on,
        valid_from,
        valid_to,
        valid_to is null as is_current
    from source
)

select * from final

with source as (
    select * from rivo_raw.referrals
),

final as (
    select
        id as referral_id,
        status,
        status_last_changed_at as status_changed_at,
        created_at,
        claimed_at,
        completed_at,
        referrer_customer_id as advocate_customer_id,
        referred_customer_id as friend_customer_id,
        lower(advocate_email) as advocate_email,
        lower(referred_email) as friend_email,
        referred_order_id as friend_order_id,
        block_reason,
        -- Shows which referrals share an IP address. A hash of the address could be reversed by trying all addresses.
        if(trim(signup_ip) <> '', min(id) over (partition by trim(signup_ip)), null) as same_ip_referral_id,
        _first_seen_at as first_seen_at,
        _last_seen_at as last_seen_at,
        _deleted_at as deleted_at,
        _deleted_at is not null as is_deleted
    from source
)

select * from final

with source as (
    select * from rivo_raw.customers
),

final as (
    select
        id as customer_id,
        email,
        first_name,
        last_name,
        accepts_marketing,
        verified_email as is_email_verified,
        orders_count,
        total_spent,
        shopify_tags,
        loyalty_status,
        -- Every other status (guest, opted out, unknown) is not a member.
        coalesce(loyalty_status = 'member', false) as is_member,
        loyalty_status_last_changed_at as loyalty_status_changed_at,
        vip_tier_id,
        nullif(trim(vip_tier ->> '$.name'), '') as vip_tier_name,
        try_cast(vip_tier ->> '$.threshold' as decimal(18, 4)) as vip_tier_threshold,
        points_tally,
        credits_tally,
        lifetime_earnings_tally,
        nullif(trim(points_expire_at), '') as points_expire_text,
        try_strptime(points_expire_at, ['%b %d, %Y', '%B %d, %Y'])::date as points_expire_on,
        dob as birthday,
        referral_code,
        referral_url,
        completed_earning_rule_ids,
        remote_updated_at as shopify_updated_at,
        _first_seen_at as first_seen_at,
        _last_seen_at as last_seen_at,
        _deleted_at as deleted_at,
        _deleted_at is not null as is_deleted
    from source
)

select * from final

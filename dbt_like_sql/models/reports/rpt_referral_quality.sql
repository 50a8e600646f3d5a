with referrals as (
    select
        referrals.referral_id,
        referrals.advocate_customer_id as customer_id,
        referrals.friend_customer_id,
        referrals.status = 'blocked' as is_blocked,
        referrals.is_completed,
        nullif(lower(trim(referrals.block_reason)), '') as block_reason,
        regexp_matches(lower(referrals.block_reason), '(^|[^a-z])ip([^a-z]|$)') as is_ip_block,
        -- From the creation, because Rivo may send no time of the claim.
        if(referrals.is_completed, referrals.completed_at <= referrals.created_at + interval 24 hours, null) as is_fast,
        ips.same_ip_referral_id
    from marts.fct_referral as referrals
    left join staging.stg_rivo__referrals as ips on ips.referral_id = referrals.referral_id
    where not referrals.is_deleted and referrals.advocate_customer_id is not null
),

with_sharing as (
    select
        *,
        same_ip_referral_id is not null
        and count(*) over (partition by customer_id, same_ip_referral_id) > 1 as shares_ip
    from referrals
),

sent as (
    select
        customer_id,
        count(*) as referrals,
        count(*) filter (where is_blocked) as blocked,
        count(*) filter (where is_blocked and is_ip_block) as blocked_same_ip,
        count(*) filter (where is_blocked and block_reason is not null and not is_ip_block) as blocked_other,
        count(*) filter (where is_blocked and block_reason is null) as blocked_unknown,
        count(same_ip_referral_id) as referrals_with_ip,
        count(*) filter (where shares_ip) as referrals_same_ip,
        count(*) filter (where is_completed) as completed,
        count(is_fast) as completed_with_time,
        count(*) filter (where is_fast) as completed_fast
    from with_sharing
    group by customer_id
),

-- The most frequent reason; of equally frequent ones, the first in the alphabet.
reasons as (
    select
        customer_id,
        block_reason,
        row_number() over (partition by customer_id order by count(*) desc, block_reason) as place
    from referrals
    where is_blocked and block_reason is not null
    group by customer_id, block_reason
),

-- A friend can complete several referrals, and is one customer.
friends as (
    select distinct
        referrals.customer_id,
        referrals.friend_customer_id,
        members.orders_count
    from referrals
    inner join marts.dim_member as members on members.customer_id = referrals.friend_customer_id
    where referrals.is_completed
),

friends_orders as (
    select
        customer_id,
        count(orders_count) as friends_with_known_orders,
        count(*) filter (where orders_count >= 2) as friends_with_second_order
    from friends
    group by customer_id
),

measured as (
    select
        sent.customer_id,
        sent.referrals,
        sent.blocked,
        sent.blocked_same_ip,
        sent.blocked_other,
        sent.blocked_unknown,
        reasons.block_reason as top_block_reason,
        sent.referrals_with_ip,
        if(sent.referrals_with_ip > 0, sent.referrals_same_ip, null) as referrals_same_ip,
        sent.referrals_same_ip / nullif(sent.referrals_with_ip, 0) as same_ip_share,
        sent.completed,
        sent.completed_with_time,
        if(sent.completed = 0 or sent.completed_with_time > 0, sent.completed_fast, null) as completed_within_a_day,
        coalesce(friends_orders.friends_with_known_orders, 0) as friends_with_known_orders,
        case
            when sent.completed = 0 then 0
            when friends_orders.friends_with_known_orders > 0 then friends_orders.friends_with_second_order
        end as friends_with_second_order
    from sent
    left join reasons on reasons.customer_id = sent.customer_id and reasons.place = 1
    left join friends_orders on friends_orders.customer_id = sent.customer_id
),

-- A family shares an address, and some friends order at once: each signal needs three referrals and half of all.
signals as (
    select
        *,
        blocked >= 3 and 2 * blocked >= referrals as has_many_blocked,
        coalesce(referrals_same_ip >= 3 and 2 * referrals_same_ip >= referrals_with_ip, false) as has_shared_ips,
        coalesce(
            completed_within_a_day >= 3
            and 2 * completed_within_a_day >= completed_with_time
            and friends_with_known_orders > 0
            and friends_with_second_order = 0,
            false
        ) as has_quick_single_orders
    from measured
),

final as (
    select
        customer_id,
        referrals,
        blocked,
        blocked_same_ip,
        blocked_other,
        blocked_unknown,
        top_block_reason,
        referrals_with_ip,
        referrals_same_ip,
        same_ip_share,
        completed,
        completed_with_time,
        completed_within_a_day,
        friends_with_known_orders,
        friends_with_second_order,
        has_many_blocked,
        has_shared_ips,
        has_quick_single_orders,
        has_many_blocked or has_shared_ips or has_quick_single_orders as is_suspicious
    from signals
)

select * from final
order by is_suspicious desc, referrals desc, customer_id

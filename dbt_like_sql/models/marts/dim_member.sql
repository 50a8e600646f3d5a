with customers as (
    select * from staging.stg_rivo__customers
),

redemptions as (
    select * from marts.fct_redemption
),

referrals as (
    select * from marts.fct_referral
    where not is_deleted
),

-- Every customer in any list, so that each fact has its member.
known as (
    select customer_id from customers
    union
    select customer_id from intermediate.int_ledger_entries where customer_id is not null
    union
    select customer_id from redemptions where customer_id is not null
    union
    select advocate_customer_id as customer_id from referrals where advocate_customer_id is not null
    union
    select friend_customer_id as customer_id from referrals where friend_customer_id is not null
),

ledger as (
    select
        customer_id,
        sum(amount) filter (where is_counted and unit = 'points')::bigint as points_balance,
        sum(amount) filter (where is_counted and unit = 'credits') as credits_balance,
        sum(amount) filter (where is_counted and unit = 'points' and entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'issue_tier', 'issue_manual', 'issue_reversal'
        ))::bigint as points_issued_lifetime,
        -sum(amount) filter (where is_counted and unit = 'points' and entry_class in ('redeem', 'redeem_return'))::bigint
            as points_redeemed_lifetime,
        -sum(amount) filter (where is_counted and unit = 'points' and entry_class = 'expire')::bigint
            as points_expired_lifetime,
        min(entry_at) filter (where is_counted and leg = 'original' and amount > 0 and entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'issue_tier', 'issue_manual'
        )) as first_earn_at,
        max(entry_at) filter (where is_counted and leg = 'original' and entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'redeem'
        )) as last_ledger_activity_at
    from intermediate.int_ledger_entries
    group by customer_id
),

redeemed as (
    select
        customer_id,
        min(claimed_at) as first_redemption_at,
        max(claimed_at) as last_claim_at,
        bool_or(revoked_at is null and refunded_at is null) as is_redeemer
    from redemptions
    group by customer_id
),

advocates as (
    select
        advocate_customer_id as customer_id,
        count(*) filter (where status = 'completed') as referrals_completed
    from referrals
    group by advocate_customer_id
),

present_tier as (
    select
        spells.customer_id,
        spells.tier_id,
        spells.state,
        moves.changed_by as tier_entered_at
    from intermediate.int_tier_spells as spells
    left join marts.fct_tier_change as moves
        on moves.customer_id = spells.customer_id
        and moves.changed_by = spells.entered_at
    where spells.is_right_censored
        and spells.tier_id is not null
),

final as (
    select
        known.customer_id,
        customers.email,
        customers.loyalty_status,
        coalesce(customers.is_member and not customers.is_deleted, false) as is_member,
        joined.joined_at,
        joined.joined_at_basis,
        present_tier.tier_id,
        present_tier.state as tier_name,
        present_tier.tier_entered_at,
        coalesce(ledger.points_balance, 0) as points_balance,
        coalesce(ledger.credits_balance, 0)::decimal(18, 4) as credits_balance,
        coalesce(ledger.points_issued_lifetime, 0) as points_issued_lifetime,
        coalesce(ledger.points_redeemed_lifetime, 0) as points_redeemed_lifetime,
        coalesce(ledger.points_expired_lifetime, 0) as points_expired_lifetime,
        ledger.first_earn_at,
        redeemed.first_redemption_at,
        greatest(ledger.last_ledger_activity_at, redeemed.last_claim_at) as last_activity_at,
        coalesce(redeemed.is_redeemer, false) as is_redeemer,
        coalesce(advocates.referrals_completed, 0) as referrals_completed,
        customers.orders_count,
        customers.total_spent,
        customers.points_tally,
        customers.credits_tally,
        customers.points_expire_on,
        coalesce(customers.is_deleted, false) as is_deleted
    from known
    left join customers on customers.customer_id = known.customer_id
    left join intermediate.int_join_dates as joined on joined.customer_id = known.customer_id
    left join ledger on ledger.customer_id = known.customer_id
    left join redeemed on redeemed.customer_id = known.customer_id
    left join advocates on advocates.customer_id = known.customer_id
    left join present_tier on present_tier.customer_id = known.customer_id
)

select * from final

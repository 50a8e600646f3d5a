with referrals as (
    select * from marts.fct_referral
    where not is_deleted and advocate_customer_id is not null
),

sent as (
    select
        advocate_customer_id as customer_id,
        count(*) as referrals,
        count(*) filter (where status = 'blocked') as blocked,
        count(*) filter (where is_claimed) as claimed,
        count(*) filter (where is_completed) as completed,
        min(created_at) as first_referral_at,
        max(created_at) as last_referral_at,
        max(completed_at) filter (where is_completed) as last_completed_at
    from referrals
    group by advocate_customer_id
),

earned as (
    select customer_id, sum(amount)::bigint as points_earned
    from marts.fct_points_ledger
    where unit = 'points' and entry_class = 'issue_referral'
    group by customer_id
),

final as (
    select
        sent.customer_id,
        members.email,
        members.tier_name,
        sent.referrals,
        sent.blocked,
        sent.claimed,
        sent.completed,
        sent.claimed / nullif(sent.referrals - sent.blocked, 0) as claim_rate,
        sent.completed / nullif(sent.claimed, 0) as completion_rate,
        coalesce(earned.points_earned, 0) as points_earned,
        sent.first_referral_at,
        sent.last_referral_at,
        sent.last_completed_at
    from sent
    left join marts.dim_member as members on members.customer_id = sent.customer_id
    left join earned on earned.customer_id = sent.customer_id
)

select * from final
order by completed desc, referrals desc, customer_id

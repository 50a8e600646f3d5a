with referrals as (
    select * from marts.fct_referral
    where not is_deleted and created_date is not null
),

cohorts as (
    select
        date_trunc('month', created_date)::date as month,
        count(*) as created,
        count(*) filter (where status = 'blocked') as blocked,
        count(*) filter (where status = 'ineligible') as ineligible,
        count(*) filter (where is_claimed) as claimed,
        count(*) filter (where is_completed) as completed,
        median(days_to_complete) as median_days
    from referrals
    group by date_trunc('month', created_date)
),

final as (
    select
        month,
        created,
        blocked,
        ineligible,
        claimed,
        completed,
        claimed / nullif(created - blocked, 0) as claim_rate,
        completed / nullif(claimed, 0) as completion_rate,
        median_days
    from cohorts
)

select * from final
order by month

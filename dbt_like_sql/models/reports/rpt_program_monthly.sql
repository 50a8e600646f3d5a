with clock as (
    select * from intermediate.int_clock
),

points as (
    select
        month,
        issue_purchase + issue_action + issue_referral + issue_tier + issue_manual + issue_reversal as issued,
        -(redeem + redeem_return) as redeemed,
        -expire as expired,
        closing as outstanding
    from reports.rpt_points_rollforward
    where unit = 'points'
),

claims as (
    select
        date_trunc('month', claim_date)::date as month,
        count(*) as codes_claimed
    from marts.fct_redemption
    group by date_trunc('month', claim_date)
),

uses as (
    select
        date_trunc('month', redemptions.used_at at time zone clock.timezone)::date as month,
        count(*) as codes_used,
        coalesce(sum(redemptions.redemption_value), 0) as value_used,
        count(*) filter (where redemptions.redemption_value is null) as codes_used_unvalued
    from marts.fct_redemption as redemptions
    cross join clock
    where redemptions.used_at is not null
    group by date_trunc('month', redemptions.used_at at time zone clock.timezone)
),

referrals as (
    select
        date_trunc('month', referrals.completed_at at time zone clock.timezone)::date as month,
        count(*) as completed
    from marts.fct_referral as referrals
    cross join clock
    where referrals.completed_at is not null
        and referrals.status = 'completed'
        and not referrals.is_deleted
    group by date_trunc('month', referrals.completed_at at time zone clock.timezone)
),

days as (
    select * from reports.rpt_program_daily
    where unit = (select max(unit) from reports.rpt_program_daily)
),

customers as (
    select
        local_day,
        sum(members) as customers
    from reports.rpt_tier_distribution
    group by local_day
),

-- The state at the last day of the month; of the current month, at the last sync.
members as (
    select
        date_trunc('month', days.local_day)::date as month,
        arg_min(days.members_start, days.local_day) as members_start,
        sum(days.joined)::bigint as joined,
        sum(days.left_members)::bigint as left_members,
        arg_max(days.members_end, days.local_day) as members_end,
        arg_max(coalesce(customers.customers, 0), days.local_day)::bigint as customers_end,
        arg_max(days.active_members_30d, days.local_day) as active_30d,
        arg_max(days.active_members_90d, days.local_day) as active_90d,
        min(days.local_day) as first_day
    from days
    left join customers on customers.local_day = days.local_day
    group by date_trunc('month', days.local_day)
),

known as (
    select month from points
    union
    select month from claims
    union
    select month from uses
    union
    select month from referrals
    union
    select month from members
),

months as (
    select known.month
    from known
    cross join clock
    where known.month <= clock.local_date
),

figures as (
    select
        months.month,
        -- In the month of the first sync, what happened before it is not known.
        members.month is not null and members.first_day = months.month
        and members.first_day > clock.history_start_date as is_whole,
        members.members_start,
        members.joined,
        members.left_members,
        members.members_end,
        members.customers_end,
        members.active_30d,
        members.active_90d,
        coalesce(points.issued, 0)::bigint as points_issued,
        coalesce(points.redeemed, 0)::bigint as points_redeemed,
        coalesce(points.expired, 0)::bigint as points_expired,
        points.outstanding::bigint as points_outstanding,
        coalesce(claims.codes_claimed, 0) as codes_claimed,
        coalesce(uses.codes_used, 0) as codes_used,
        coalesce(uses.value_used, 0)::decimal(18, 4) as value_used,
        coalesce(uses.codes_used_unvalued, 0) as codes_used_unvalued,
        coalesce(referrals.completed, 0) as referrals_completed,
        last_day(months.month) < clock.local_date as is_complete
    from months
    cross join clock
    left join members on members.month = months.month
    left join points on points.month = months.month
    left join claims on claims.month = months.month
    left join uses on uses.month = months.month
    left join referrals on referrals.month = months.month
),

rated as (
    select
        month,
        if(is_whole, members_start, null) as members_start,
        if(is_whole, joined, null) as joined,
        if(is_whole, left_members, null) as left_members,
        members_end,
        customers_end,
        members_end / nullif(customers_end, 0) as enrolment_share,
        active_30d,
        active_90d,
        active_90d / nullif(members_end, 0) as active_rate_90d,
        points_issued,
        points_redeemed,
        points_expired,
        coalesce(points_outstanding, 0) as points_outstanding,
        points_redeemed / nullif(points_issued, 0) as points_burn_ratio,
        codes_claimed,
        codes_used,
        value_used,
        codes_used_unvalued,
        referrals_completed,
        is_complete
    from figures
),

final as (
    select
        rated.month,
        rated.members_start,
        rated.joined,
        rated.left_members,
        rated.members_end,
        rated.customers_end,
        rated.enrolment_share,
        rated.active_30d,
        rated.active_90d,
        rated.active_rate_90d,
        rated.points_issued,
        rated.points_redeemed,
        rated.points_expired,
        rated.points_outstanding,
        rated.points_burn_ratio,
        rated.codes_claimed,
        rated.codes_used,
        rated.value_used,
        rated.codes_used_unvalued,
        rated.referrals_completed,
        previous.members_end as members_end_previous,
        last_year.members_end as members_end_last_year,
        previous.active_rate_90d as active_rate_90d_previous,
        last_year.active_rate_90d as active_rate_90d_last_year,
        previous.points_issued as points_issued_previous,
        last_year.points_issued as points_issued_last_year,
        previous.points_redeemed as points_redeemed_previous,
        last_year.points_redeemed as points_redeemed_last_year,
        previous.points_outstanding as points_outstanding_previous,
        last_year.points_outstanding as points_outstanding_last_year,
        previous.points_burn_ratio as points_burn_ratio_previous,
        last_year.points_burn_ratio as points_burn_ratio_last_year,
        previous.value_used as value_used_previous,
        last_year.value_used as value_used_last_year,
        rated.is_complete
    from rated
    left join rated as previous on previous.month = (rated.month - interval 1 month)::date
    left join rated as last_year on last_year.month = (rated.month - interval 12 month)::date
)

select * from final
order by month

with periods as (
    select * from intermediate.int_periods
    where period_type <> 'to_date'
),

clock as (
    select * from intermediate.int_clock
),

spells as (
    select * from intermediate.int_tier_spells
),

-- Who belongs to which segment: everyone to 'all', and everyone known at the start to the tier held then.
segment_members as (
    select
        periods.period_type,
        periods.period_start,
        spells.state as segment,
        spells.state_kind as segment_kind,
        spells.tier_id as segment_tier_id,
        spells.customer_id
    from periods
    inner join spells
        on spells.entered_at <= periods.starts_at
        and (spells.exited_at is null or spells.exited_at > periods.starts_at)
),

segments as (
    select period_type, period_start, 'all' as segment, 'all' as segment_kind, null::bigint as segment_tier_id
    from periods
    union all
    select distinct period_type, period_start, segment, segment_kind, segment_tier_id
    from segment_members
),

members_at_end as (
    select
        periods.period_type,
        periods.period_start,
        spells.customer_id
    from periods
    inner join spells
        on spells.entered_at <= periods.ends_at
        and (spells.exited_at is null or spells.exited_at > periods.ends_at)
    where spells.state_kind <> 'not_member'
),

-- What every customer had earned and redeemed up to each day; an entry without a customer counts for 'all'.
daily as (
    select
        coalesce(customer_id, -1) as customer_id,
        entry_date,
        (sum(amount) filter (where entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'issue_tier', 'issue_manual', 'issue_reversal'
        )))::bigint as issued,
        (-sum(amount) filter (where entry_class in ('redeem', 'redeem_return')))::bigint as redeemed
    from marts.fct_points_ledger
    where unit = 'points'
    group by all
),

cumulative as (
    select
        customer_id,
        entry_date,
        coalesce(sum(issued) over by_customer, 0)::bigint as issued,
        coalesce(sum(redeemed) over by_customer, 0)::bigint as redeemed
    from daily
    window by_customer as (partition by customer_id order by entry_date)
),

-- A code's life: the longest that any code of this shop was given. Codes without an expiry may live as long.
code_life as (
    select coalesce(max(expires_at - claimed_at), interval 365 day) as longest
    from marts.fct_redemption
    where expires_at > claimed_at
),

claims as (
    select
        periods.period_type,
        periods.period_start,
        coalesce(redemptions.customer_id, -1) as customer_id,
        count(*) as codes_claimed,
        count(*) filter (where redemptions.used_at is not null) as codes_used,
        bool_or(redemptions.revoked_at is null and redemptions.refunded_at is null) as has_redeemed
    from periods
    inner join marts.fct_redemption as redemptions
        on redemptions.claim_date between periods.period_start and periods.period_end
    group by all
),

customers as (
    select customer_id from spells
    union
    select customer_id from cumulative
    union
    select coalesce(customer_id, -1) as customer_id from marts.fct_redemption
),

customer_periods as (
    select
        periods.period_type,
        periods.period_start,
        periods.period_end,
        customers.customer_id
    from periods
    cross join customers
),

up_to_end as (
    select
        customer_periods.period_type,
        customer_periods.period_start,
        customer_periods.customer_id,
        coalesce(cumulative.issued, 0) as issued,
        coalesce(cumulative.redeemed, 0) as redeemed
    from customer_periods
    asof left join cumulative
        on cumulative.customer_id = customer_periods.customer_id
        and cumulative.entry_date <= customer_periods.period_end
),

period_days as (
    select
        period_type,
        period_start,
        unnest(generate_series(period_start, period_end, interval 1 day))::date as local_day
    from periods
),

inside as (
    select
        period_days.period_type,
        period_days.period_start,
        daily.customer_id,
        coalesce(sum(daily.issued), 0) as issued,
        coalesce(sum(daily.redeemed), 0) as redeemed
    from daily
    inner join period_days on period_days.local_day = daily.entry_date
    group by period_days.period_type, period_days.period_start, daily.customer_id
),

points as (
    select
        up_to_end.period_type,
        up_to_end.period_start,
        up_to_end.customer_id,
        coalesce(inside.issued, 0) as issued,
        coalesce(inside.redeemed, 0) as redeemed,
        up_to_end.issued as issued_lifetime,
        up_to_end.redeemed as redeemed_lifetime
    from up_to_end
    left join inside
        on inside.period_type = up_to_end.period_type
        and inside.period_start = up_to_end.period_start
        and inside.customer_id = up_to_end.customer_id
),

per_customer as (
    select
        points.period_type,
        points.period_start,
        points.customer_id,
        segment_members.segment_kind,
        segment_members.segment_tier_id,
        points.issued,
        points.redeemed,
        points.issued_lifetime,
        points.redeemed_lifetime,
        coalesce(claims.codes_claimed, 0) as codes_claimed,
        coalesce(claims.codes_used, 0) as codes_used,
        members_at_end.customer_id is not null as is_member_at_end,
        coalesce(claims.has_redeemed, false) as has_redeemed,
        -- Only who earned can be measured against what was earned.
        if(points.issued > 0, least(1, greatest(0, points.redeemed) / points.issued), null)
            as capped_redemption_rate
    from points
    left join segment_members
        on segment_members.period_type = points.period_type
        and segment_members.period_start = points.period_start
        and segment_members.customer_id = points.customer_id
    left join claims
        on claims.period_type = points.period_type
        and claims.period_start = points.period_start
        and claims.customer_id = points.customer_id
    left join members_at_end
        on members_at_end.period_type = points.period_type
        and members_at_end.period_start = points.period_start
        and members_at_end.customer_id = points.customer_id
),

in_segments as (
    select *, 'all' as segment_key from per_customer
    union all
    select *, segment_kind || coalesce(segment_tier_id::varchar, '') as segment_key from per_customer
    where segment_kind is not null
),

summed as (
    select
        period_type,
        period_start,
        segment_key,
        sum(redeemed)::bigint as points_redeemed_net,
        sum(issued)::bigint as points_issued_net,
        sum(redeemed_lifetime)::bigint as points_redeemed_lifetime,
        sum(issued_lifetime)::bigint as points_issued_lifetime,
        count(*) filter (where is_member_at_end and has_redeemed) as redeeming_members,
        count(*) filter (where is_member_at_end) as members_end,
        count(capped_redemption_rate) as active_members,
        avg(capped_redemption_rate) as avg_member_redemption_rate_capped,
        sum(codes_used)::bigint as codes_used,
        sum(codes_claimed)::bigint as codes_claimed
    from in_segments
    group by period_type, period_start, segment_key
),

final as (
    select
        segments.period_type,
        segments.period_start,
        periods.period_end,
        segments.segment,
        segments.segment_tier_id,
        coalesce(summed.points_redeemed_net, 0) as points_redeemed_net,
        coalesce(summed.points_issued_net, 0) as points_issued_net,
        summed.points_redeemed_net / nullif(summed.points_issued_net, 0) as points_burn_ratio,
        coalesce(summed.redeeming_members, 0) as redeeming_members,
        coalesce(summed.members_end, 0) as members_end,
        summed.redeeming_members / nullif(summed.members_end, 0) as member_redemption_rate,
        coalesce(summed.active_members, 0) as active_members,
        summed.avg_member_redemption_rate_capped,
        coalesce(summed.codes_used, 0) as codes_used,
        coalesce(summed.codes_claimed, 0) as codes_claimed,
        if(
            periods.ends_at + code_life.longest <= clock.observed_at,
            summed.codes_used / nullif(summed.codes_claimed, 0),
            null
        ) as reward_use_rate,
        coalesce(summed.points_redeemed_lifetime, 0) as points_redeemed_lifetime,
        coalesce(summed.points_issued_lifetime, 0) as points_issued_lifetime,
        summed.points_redeemed_lifetime / nullif(summed.points_issued_lifetime, 0) as points_burn_ratio_lifetime,
        periods.is_complete
    from segments
    inner join periods
        on periods.period_type = segments.period_type
        and periods.period_start = segments.period_start
    left join summed
        on summed.period_type = segments.period_type
        and summed.period_start = segments.period_start
        and summed.segment_key = segments.segment_kind || coalesce(segments.segment_tier_id::varchar, '')
    cross join clock
    cross join code_life
)

select * from final
order by period_type, period_start, segment <> 'all', segment_tier_id nulls first, segment

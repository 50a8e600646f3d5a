-- Periods of one type have no gaps, so a run of consecutive periods is a first and a last number.
with periods as (
    select
        *,
        row_number() over (partition by period_type order by period_start) as period_number,
        count(*) over (partition by period_type) as periods_of_type
    from intermediate.int_periods
    where period_type <> 'to_date'
),

clock as (
    select * from intermediate.int_clock
),

spells as (
    select * from intermediate.int_tier_spells
),

-- Spells begin and end at the few instants of syncs, so count periods once per instant instead of once per spell.
instants as (
    select entered_at as instant from spells
    union
    select exited_at as instant from spells where exited_at is not null
),

boundaries as (
    select
        instants.instant,
        periods.period_type,
        periods.periods_of_type,
        count(*) filter (where periods.starts_at < instants.instant) as started_before,
        count(*) filter (where periods.ends_at < instants.instant) as ended_before
    from instants
    cross join periods
    group by instants.instant, periods.period_type, periods.periods_of_type
),

spans as (
    select
        spells.customer_id,
        entered.period_type,
        spells.state,
        spells.state_kind,
        spells.tier_id,
        entered.started_before + 1 as first_start,
        coalesce(exited.started_before, entered.periods_of_type) as last_start,
        entered.ended_before + 1 as first_end,
        coalesce(exited.ended_before, entered.periods_of_type) as last_end
    from spells
    inner join boundaries as entered on entered.instant = spells.entered_at
    left join boundaries as exited
        on exited.instant = spells.exited_at
        and exited.period_type = entered.period_type
),

-- Members of segments: every customer is in 'all', and each customer known at the start in the state held then.
starts as (
    select
        customer_id,
        period_type,
        state as segment,
        state_kind as segment_kind,
        tier_id as segment_tier_id,
        first_start as first_number,
        last_start as last_number
    from spans
    where first_start <= last_start
),

ends as (
    select
        customer_id,
        period_type,
        first_end as first_number,
        last_end as last_number
    from spans
    where first_end <= last_end and state_kind <> 'not_member'
),

segment_runs as (
    select distinct period_type, first_number, last_number, segment, segment_kind, segment_tier_id
    from starts
),

segments as (
    select period_type, period_start, 'all' as segment, 'all' as segment_kind, null::bigint as segment_tier_id
    from periods
    union all
    select distinct
        periods.period_type,
        periods.period_start,
        segment_runs.segment,
        segment_runs.segment_kind,
        segment_runs.segment_tier_id
    from segment_runs
    inner join periods
        on periods.period_type = segment_runs.period_type
        and periods.period_number between segment_runs.first_number and segment_runs.last_number
),

-- The longest lifetime of any code of this shop. It is assumed for codes without an expiry too.
code_life as (
    select coalesce(max(expires_at - claimed_at), interval 365 day) as longest
    from marts.fct_redemption
    where expires_at > claimed_at
),

-- Entries without a customer count in 'all'.
movements as (
    select
        customer_id,
        entry_date as local_day,
        if(entry_class in ('redeem', 'redeem_return'), 0, amount)::bigint as issued,
        if(entry_class in ('redeem', 'redeem_return'), -amount, 0)::bigint as redeemed,
        0 as codes_claimed,
        0 as codes_used,
        false as has_redeemed
    from marts.fct_points_ledger
    where unit = 'points'
        and entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'issue_tier', 'issue_manual', 'issue_reversal',
            'redeem', 'redeem_return'
        )
    union all
    select
        customer_id,
        claim_date as local_day,
        0 as issued,
        0 as redeemed,
        1 as codes_claimed,
        if(used_at is null, 0, 1) as codes_used,
        revoked_at is null and refunded_at is null as has_redeemed
    from marts.fct_redemption
),

-- Days before the first period are in no period, but count in the lifetime columns.
days as (
    select distinct local_day from movements
),

period_types as (
    select distinct period_type from periods
),

typed_days as (
    select days.local_day, period_types.period_type
    from days
    cross join period_types
),

period_days as (
    select
        typed_days.local_day,
        periods.period_type,
        periods.period_number,
        typed_days.local_day >= periods.period_start as is_inside
    from typed_days
    asof inner join periods
        on periods.period_type = typed_days.period_type
        and typed_days.local_day <= periods.period_end
),

activity as (
    select
        movements.customer_id,
        period_days.period_type,
        period_days.period_number,
        period_days.is_inside,
        sum(movements.issued)::bigint as issued,
        sum(movements.redeemed)::bigint as redeemed,
        sum(movements.codes_claimed)::bigint as codes_claimed,
        sum(movements.codes_used)::bigint as codes_used,
        bool_or(movements.has_redeemed) as has_redeemed
    from movements
    inner join period_days on period_days.local_day = movements.local_day
    group by movements.customer_id, period_days.period_type, period_days.period_number, period_days.is_inside
),

-- There are few rows of activity and many of membership. So each row of activity counts towards a run of periods:
-- those that begin while the customer is in the segment, starting with the period of the activity.
in_segments as (
    select
        activity.*,
        'all' as segment_kind,
        null::bigint as segment_tier_id,
        activity.period_number as first_number,
        periods.periods_of_type as last_number,
        activity.is_inside as is_in_period
    from activity
    inner join periods
        on periods.period_type = activity.period_type
        and periods.period_number = activity.period_number
    union all
    select
        activity.*,
        starts.segment_kind,
        starts.segment_tier_id,
        greatest(activity.period_number, starts.first_number) as first_number,
        starts.last_number,
        activity.is_inside and activity.period_number >= starts.first_number as is_in_period
    from activity
    inner join starts
        on starts.customer_id = activity.customer_id
        and starts.period_type = activity.period_type
        and starts.last_number >= activity.period_number
),

runs_of_activity as (
    select
        period_type,
        segment_kind,
        segment_tier_id,
        first_number,
        last_number,
        is_in_period,
        sum(issued) as issued,
        sum(redeemed) as redeemed,
        sum(codes_claimed) as codes_claimed,
        sum(codes_used) as codes_used,
        -- The ratio is only defined for customers who earned.
        count(*) filter (where issued > 0) as active_members,
        sum(least(1, greatest(0, redeemed) / issued)) filter (where issued > 0) as capped_redemption_rates
    from in_segments
    group by period_type, segment_kind, segment_tier_id, first_number, last_number, is_in_period
),

summed_activity as (
    select
        period_type,
        first_number as period_number,
        segment_kind,
        segment_tier_id,
        sum(redeemed)::bigint as points_redeemed_net,
        sum(issued)::bigint as points_issued_net,
        sum(active_members)::bigint as active_members,
        sum(capped_redemption_rates) / nullif(sum(active_members), 0) as avg_member_redemption_rate_capped,
        sum(codes_used)::bigint as codes_used,
        sum(codes_claimed)::bigint as codes_claimed
    from runs_of_activity
    where is_in_period
    group by period_type, first_number, segment_kind, segment_tier_id
),

summed_lifetime as (
    select
        periods.period_type,
        periods.period_number,
        runs.segment_kind,
        runs.segment_tier_id,
        sum(runs.redeemed)::bigint as points_redeemed_lifetime,
        sum(runs.issued)::bigint as points_issued_lifetime
    from runs_of_activity as runs
    inner join periods
        on periods.period_type = runs.period_type
        and periods.period_number between runs.first_number and runs.last_number
    group by periods.period_type, periods.period_number, runs.segment_kind, runs.segment_tier_id
),

runs_of_members as (
    select
        period_type,
        'all' as segment_kind,
        null::bigint as segment_tier_id,
        first_number,
        last_number,
        count(*) as members
    from ends
    group by period_type, first_number, last_number
    union all
    select
        starts.period_type,
        starts.segment_kind,
        starts.segment_tier_id,
        greatest(starts.first_number, ends.first_number) as first_number,
        least(starts.last_number, ends.last_number) as last_number,
        count(*) as members
    from starts
    inner join ends
        on ends.customer_id = starts.customer_id
        and ends.period_type = starts.period_type
        and ends.first_number <= starts.last_number
        and ends.last_number >= starts.first_number
    group by all
),

summed_members as (
    select
        periods.period_type,
        periods.period_number,
        runs.segment_kind,
        runs.segment_tier_id,
        sum(runs.members)::bigint as members_end
    from runs_of_members as runs
    inner join periods
        on periods.period_type = runs.period_type
        and periods.period_number between runs.first_number and runs.last_number
    group by periods.period_type, periods.period_number, runs.segment_kind, runs.segment_tier_id
),

redeemers as (
    select
        activity.customer_id,
        activity.period_type,
        activity.period_number
    from activity
    inner join ends
        on ends.customer_id = activity.customer_id
        and ends.period_type = activity.period_type
        and activity.period_number between ends.first_number and ends.last_number
    where activity.is_inside and activity.has_redeemed
),

summed_redeemers as (
    select
        period_type,
        period_number,
        'all' as segment_kind,
        null::bigint as segment_tier_id,
        count(*) as redeeming_members
    from redeemers
    group by period_type, period_number
    union all
    select
        redeemers.period_type,
        redeemers.period_number,
        starts.segment_kind,
        starts.segment_tier_id,
        count(*) as redeeming_members
    from redeemers
    inner join starts
        on starts.customer_id = redeemers.customer_id
        and starts.period_type = redeemers.period_type
        and redeemers.period_number between starts.first_number and starts.last_number
    group by all
),

final as (
    select
        segments.period_type,
        segments.period_start,
        periods.period_end,
        segments.segment,
        segments.segment_tier_id,
        coalesce(activity.points_redeemed_net, 0) as points_redeemed_net,
        coalesce(activity.points_issued_net, 0) as points_issued_net,
        activity.points_redeemed_net / nullif(activity.points_issued_net, 0) as points_burn_ratio,
        coalesce(redeemers.redeeming_members, 0) as redeeming_members,
        coalesce(members.members_end, 0) as members_end,
        coalesce(redeemers.redeeming_members, 0) / nullif(members.members_end, 0) as member_redemption_rate,
        coalesce(activity.active_members, 0) as active_members,
        activity.avg_member_redemption_rate_capped,
        coalesce(activity.codes_used, 0) as codes_used,
        coalesce(activity.codes_claimed, 0) as codes_claimed,
        if(
            periods.ends_at + code_life.longest <= clock.observed_at,
            activity.codes_used / nullif(activity.codes_claimed, 0),
            null
        ) as reward_use_rate,
        coalesce(lifetime.points_redeemed_lifetime, 0) as points_redeemed_lifetime,
        coalesce(lifetime.points_issued_lifetime, 0) as points_issued_lifetime,
        lifetime.points_redeemed_lifetime / nullif(lifetime.points_issued_lifetime, 0) as points_burn_ratio_lifetime,
        periods.is_complete
    from segments
    inner join periods
        on periods.period_type = segments.period_type
        and periods.period_start = segments.period_start
    left join summed_activity as activity
        on activity.period_type = periods.period_type
        and activity.period_number = periods.period_number
        and activity.segment_kind = segments.segment_kind
        and activity.segment_tier_id is not distinct from segments.segment_tier_id
    left join summed_lifetime as lifetime
        on lifetime.period_type = periods.period_type
        and lifetime.period_number = periods.period_number
        and lifetime.segment_kind = segments.segment_kind
        and lifetime.segment_tier_id is not distinct from segments.segment_tier_id
    left join summed_members as members
        on members.period_type = periods.period_type
        and members.period_number = periods.period_number
        and members.segment_kind = segments.segment_kind
        and members.segment_tier_id is not distinct from segments.segment_tier_id
    left join summed_redeemers as redeemers
        on redeemers.period_type = periods.period_type
        and redeemers.period_number = periods.period_number
        and redeemers.segment_kind = segments.segment_kind
        and redeemers.segment_tier_id is not distinct from segments.segment_tier_id
    cross join clock
    cross join code_life
)

select * from final
order by period_type, period_start, segment <> 'all', segment_tier_id nulls first, segment

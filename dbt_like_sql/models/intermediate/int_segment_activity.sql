with spell_periods as (
    select * from intermediate.int_spell_periods
),

-- The state at the start is null for customers who were not known then. They only count in the segment 'all'.
placed as (
    select
        activity.period_type,
        activity.period_number,
        activity.customer_id,
        activity.issued,
        activity.redeemed,
        activity.codes_claimed,
        activity.codes_used,
        activity.has_redeemed,
        at_start.state_kind,
        at_start.tier_id
    from intermediate.int_period_activity as activity
    left join spell_periods as at_start
        on at_start.customer_id = activity.customer_id
        and at_start.period_type = activity.period_type
        and activity.period_number between at_start.first_start and at_start.last_start
    where activity.period_number > 0
),

by_state as (
    select
        period_type,
        period_number,
        state_kind,
        tier_id,
        sum(issued) as issued,
        sum(redeemed) as redeemed,
        sum(codes_claimed) as codes_claimed,
        sum(codes_used) as codes_used,
        -- The ratio is only defined for customers who earned.
        count(*) filter (where issued > 0) as earning_members,
        sum(least(1, greatest(0, redeemed) / issued)) filter (where issued > 0) as capped_redemption_rates
    from placed
    group by period_type, period_number, state_kind, tier_id
),

redeemers as (
    select
        placed.period_type,
        placed.period_number,
        placed.state_kind,
        placed.tier_id,
        count(*) as redeeming_members
    from placed
    inner join spell_periods as at_end
        on at_end.customer_id = placed.customer_id
        and at_end.period_type = placed.period_type
        and placed.period_number between at_end.first_end and at_end.last_end
    where placed.has_redeemed and at_end.state_kind <> 'not_member'
    group by placed.period_type, placed.period_number, placed.state_kind, placed.tier_id
),

counted as (
    select
        by_state.*,
        coalesce(redeemers.redeeming_members, 0) as redeeming_members
    from by_state
    left join redeemers
        on redeemers.period_type = by_state.period_type
        and redeemers.period_number = by_state.period_number
        and redeemers.state_kind is not distinct from by_state.state_kind
        and redeemers.tier_id is not distinct from by_state.tier_id
),

in_segments as (
    select *, 'all' as segment_kind, null::bigint as segment_tier_id
    from counted
    union all
    select *, state_kind as segment_kind, tier_id as segment_tier_id
    from counted
    where state_kind is not null
),

final as (
    select
        in_segments.period_type,
        periods.period_start,
        in_segments.segment_kind,
        in_segments.segment_tier_id,
        sum(in_segments.issued)::bigint as points_issued,
        sum(in_segments.redeemed)::bigint as points_redeemed,
        sum(in_segments.codes_claimed)::bigint as codes_claimed,
        sum(in_segments.codes_used)::bigint as codes_used,
        sum(in_segments.redeeming_members)::bigint as redeeming_members,
        sum(in_segments.earning_members)::bigint as earning_members,
        sum(in_segments.capped_redemption_rates) as capped_redemption_rates
    from in_segments
    inner join intermediate.int_periods as periods
        on periods.period_type = in_segments.period_type
        and periods.period_number = in_segments.period_number
    group by
        in_segments.period_type,
        periods.period_start,
        in_segments.segment_kind,
        in_segments.segment_tier_id
)

select * from final

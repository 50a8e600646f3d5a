with clock as (
    select * from intermediate.int_clock
),

periods as (
    select * from intermediate.int_periods
    where period_type <> 'to_date'
),

transitions as (
    select
        period_type,
        period_start,
        from_state,
        from_kind,
        from_tier_id,
        if(to_kind in ('tier', 'no_tier'), customers, 0) as members_end
    from intermediate.int_period_transitions
),

-- Every customer is in 'all', and each customer known at the start in the state held then.
segments as (
    select
        periods.period_type,
        periods.period_start,
        'all' as segment,
        'all' as segment_kind,
        null::bigint as segment_tier_id,
        coalesce(sum(transitions.members_end), 0)::bigint as members_end
    from periods
    left join transitions
        on transitions.period_type = periods.period_type
        and transitions.period_start = periods.period_start
    group by periods.period_type, periods.period_start
    union all
    select
        period_type,
        period_start,
        from_state as segment,
        from_kind as segment_kind,
        from_tier_id as segment_tier_id,
        sum(members_end)::bigint as members_end
    from transitions
    where from_kind <> '(joined)' and period_type <> 'to_date'
    group by period_type, period_start, from_state, from_kind, from_tier_id
),

final as (
    select
        segments.period_type,
        segments.period_start,
        periods.period_end,
        segments.segment,
        segments.segment_tier_id,
        coalesce(activity.points_redeemed, 0) as points_redeemed_net,
        coalesce(activity.points_issued, 0) as points_issued_net,
        activity.points_redeemed / nullif(activity.points_issued, 0) as points_burn_ratio,
        coalesce(activity.redeeming_members, 0) as redeeming_members,
        segments.members_end,
        coalesce(activity.redeeming_members, 0) / nullif(segments.members_end, 0) as member_redemption_rate,
        coalesce(activity.earning_members, 0) as earning_members,
        activity.capped_redemption_rates / nullif(activity.earning_members, 0) as avg_member_redemption_rate_capped,
        coalesce(activity.codes_used, 0) as codes_used,
        coalesce(activity.codes_claimed, 0) as codes_claimed,
        coalesce(open_codes.codes_open, 0) as codes_open,
        -- Most codes are used, or never will be, by then.
        if(
            periods.period_end + 90 < clock.local_date,
            activity.codes_used / nullif(activity.codes_claimed, 0),
            null
        ) as reward_use_rate,
        coalesce(open_codes.codes_open, 0) / nullif(activity.codes_claimed, 0) as open_share,
        coalesce(lifetimes.points_redeemed, 0) as points_redeemed_lifetime,
        coalesce(lifetimes.points_issued, 0) as points_issued_lifetime,
        lifetimes.points_redeemed / nullif(lifetimes.points_issued, 0) as points_burn_ratio_lifetime,
        periods.is_complete
    from segments
    inner join periods
        on periods.period_type = segments.period_type
        and periods.period_start = segments.period_start
    left join intermediate.int_segment_activity as activity
        on activity.period_type = segments.period_type
        and activity.period_start = segments.period_start
        and activity.segment_kind = segments.segment_kind
        and activity.segment_tier_id is not distinct from segments.segment_tier_id
    left join intermediate.int_segment_lifetimes as lifetimes
        on lifetimes.period_type = segments.period_type
        and lifetimes.period_start = segments.period_start
        and lifetimes.segment_kind = segments.segment_kind
        and lifetimes.segment_tier_id is not distinct from segments.segment_tier_id
    left join intermediate.int_segment_open_codes as open_codes
        on open_codes.period_type = segments.period_type
        and open_codes.period_start = segments.period_start
        and open_codes.segment_kind = segments.segment_kind
        and open_codes.segment_tier_id is not distinct from segments.segment_tier_id
    cross join clock
)

select * from final
order by period_type, period_start, segment <> 'all', segment_tier_id nulls first, segment

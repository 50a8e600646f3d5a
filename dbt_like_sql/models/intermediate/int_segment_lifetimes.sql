with periods as (
    select * from intermediate.int_periods
    where period_type <> 'to_date'
),

activity as (
    select
        customer_id,
        period_type,
        -- Activity before the first period counts from its beginning.
        greatest(period_number, 1) as period_number,
        issued,
        redeemed
    from intermediate.int_period_activity
),

-- A customer's points count in a segment from the first to the last of the periods that the customer begins in it. So
-- activity is added in its own period or in that first one, whichever is later, and taken out after the last. In 'all'
-- it stays.
counted as (
    select
        period_type,
        'all' as segment_kind,
        null::bigint as segment_tier_id,
        period_number as first_number,
        null::bigint as last_number,
        sum(issued) as issued,
        sum(redeemed) as redeemed
    from activity
    group by period_type, period_number
    union all
    select
        activity.period_type,
        spell_periods.state_kind as segment_kind,
        spell_periods.tier_id as segment_tier_id,
        greatest(activity.period_number, spell_periods.first_start) as first_number,
        spell_periods.last_start as last_number,
        sum(activity.issued) as issued,
        sum(activity.redeemed) as redeemed
    from activity
    inner join intermediate.int_spell_periods as spell_periods
        on spell_periods.customer_id = activity.customer_id
        and spell_periods.period_type = activity.period_type
        and spell_periods.last_start >= activity.period_number
        and spell_periods.last_start >= spell_periods.first_start
    group by
        activity.period_type,
        spell_periods.state_kind,
        spell_periods.tier_id,
        greatest(activity.period_number, spell_periods.first_start),
        spell_periods.last_start
),

changes as (
    select
        period_type,
        segment_kind,
        segment_tier_id,
        first_number as period_number,
        issued,
        redeemed
    from counted
    union all
    select
        period_type,
        segment_kind,
        segment_tier_id,
        last_number + 1 as period_number,
        -issued as issued,
        -redeemed as redeemed
    from counted
    where last_number is not null
),

changed as (
    select
        period_type,
        segment_kind,
        segment_tier_id,
        period_number,
        sum(issued) as issued,
        sum(redeemed) as redeemed
    from changes
    group by period_type, segment_kind, segment_tier_id, period_number
),

segments as (
    select distinct
        period_type,
        segment_kind,
        segment_tier_id
    from changed
),

final as (
    select
        periods.period_type,
        periods.period_start,
        segments.segment_kind,
        segments.segment_tier_id,
        (sum(coalesce(changed.issued, 0)) over so_far)::bigint as points_issued,
        (sum(coalesce(changed.redeemed, 0)) over so_far)::bigint as points_redeemed
    from periods
    inner join segments on segments.period_type = periods.period_type
    left join changed
        on changed.period_type = periods.period_type
        and changed.period_number = periods.period_number
        and changed.segment_kind = segments.segment_kind
        and changed.segment_tier_id is not distinct from segments.segment_tier_id
    window so_far as (
        partition by periods.period_type, segments.segment_kind, segments.segment_tier_id
        order by periods.period_number
    )
)

select * from final

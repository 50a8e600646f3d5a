with open_codes as (
    select
        redemptions.customer_id,
        redemptions.claim_date
    from intermediate.int_redemptions as redemptions
    cross join intermediate.int_clock as clock
    where coalesce(redemptions.used_at > clock.observed_at, true)
        and coalesce(redemptions.expires_at > clock.observed_at, true)
        and coalesce(redemptions.revoked_at > clock.observed_at, true)
        and coalesce(redemptions.refunded_at > clock.observed_at, true)
),

placed as (
    select
        periods.period_type,
        periods.period_start,
        at_start.state_kind,
        at_start.tier_id
    from open_codes
    inner join intermediate.int_periods as periods
        on open_codes.claim_date between periods.period_start and periods.period_end
    left join intermediate.int_spell_periods as at_start
        on at_start.customer_id = open_codes.customer_id
        and at_start.period_type = periods.period_type
        and periods.period_number between at_start.first_start and at_start.last_start
    where periods.period_type <> 'to_date'
),

-- Customers who were not known at the start only count in the segment 'all'.
in_segments as (
    select period_type, period_start, 'all' as segment_kind, null::bigint as segment_tier_id
    from placed
    union all
    select period_type, period_start, state_kind as segment_kind, tier_id as segment_tier_id
    from placed
    where state_kind is not null
),

final as (
    select
        period_type,
        period_start,
        segment_kind,
        segment_tier_id,
        count(*) as codes_open
    from in_segments
    group by period_type, period_start, segment_kind, segment_tier_id
)

select * from final

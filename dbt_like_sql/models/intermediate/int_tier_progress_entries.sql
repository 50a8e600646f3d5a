-- Empty where the measure explains too few members, or is a total without dates.
with rule as (
    select * from intermediate.int_tier_progress_measure
    where is_shown and is_dated
),

measured as (
    select
        earnings.event_id,
        earnings.leg,
        earnings.customer_id,
        earnings.counts_from,
        case rule.progress_window
            when '365_days' then earnings.earned_on + 365
            when 'this_year' then make_date(year(earnings.earned_on) + 1, 1, 1)
        end as drops_out_on,
        earnings.amount
    from intermediate.int_tier_earnings as earnings
    inner join rule
        on rule.kind = earnings.kind
        and (rule.counts_manual or not earnings.is_manual)
),

final as (
    select
        event_id,
        leg,
        customer_id,
        counts_from,
        drops_out_on,
        amount
    from measured
    -- An amount taken back after it had dropped out changes nothing.
    where drops_out_on is null or drops_out_on > counts_from
)

select * from final

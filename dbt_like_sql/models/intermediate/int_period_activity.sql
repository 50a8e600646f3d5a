with periods as (
    select * from intermediate.int_periods
    where period_type <> 'to_date'
),

ranges as (
    select
        period_type,
        min(period_start) as first_day,
        max(period_end) as last_day
    from periods
    group by period_type
),

movements as (
    select
        customer_id,
        entry_date as local_day,
        if(entry_class in ('redeem', 'redeem_return'), 0, amount)::bigint as issued,
        if(entry_class in ('redeem', 'redeem_return'), -amount, 0)::bigint as redeemed,
        false as is_code,
        false as is_used_code,
        false as is_valid_code
    from intermediate.int_ledger_entries
    where is_counted
        and unit = 'points'
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
        true as is_code,
        used_at is not null as is_used_code,
        revoked_at is null and refunded_at is null as is_valid_code
    from intermediate.int_redemptions
),

days as (
    select distinct local_day from movements
),

-- Days before the first period count too, because some rates are those of the lifetime.
period_days as (
    select
        days.local_day,
        ranges.period_type,
        coalesce(periods.period_number, 0) as period_number
    from days
    inner join ranges on days.local_day <= ranges.last_day
    left join periods
        on periods.period_type = ranges.period_type
        and days.local_day between periods.period_start and periods.period_end
),

final as (
    select
        movements.customer_id,
        period_days.period_type,
        period_days.period_number,
        sum(movements.issued)::bigint as issued,
        sum(movements.redeemed)::bigint as redeemed,
        count(*) filter (where movements.is_code) as codes_claimed,
        count(*) filter (where movements.is_used_code) as codes_used,
        bool_or(movements.is_valid_code) as has_redeemed
    from movements
    inner join period_days on period_days.local_day = movements.local_day
    group by movements.customer_id, period_days.period_type, period_days.period_number
)

select * from final

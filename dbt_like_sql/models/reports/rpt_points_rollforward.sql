with clock as (
    select * from intermediate.int_clock
),

entries as (
    select * from marts.fct_points_ledger
),

-- Include entries dated after today, because the tallies that are compared with the last closing include them.
spans as (
    select
        entries.unit,
        date_trunc('month', min(entries.entry_date))::date as first_month,
        date_trunc('month', greatest(max(entries.entry_date), max(clock.local_date)))::date as last_month
    from entries
    cross join clock
    group by entries.unit
),

months as (
    select distinct spans.unit, dates.month_start as month
    from spans
    inner join marts.dim_date as dates on dates.month_start between spans.first_month and spans.last_month
),

by_class as (
    select
        date_trunc('month', entry_date)::date as month,
        unit,
        coalesce(sum(amount) filter (where entry_class = 'issue_purchase'), 0) as issue_purchase,
        coalesce(sum(amount) filter (where entry_class = 'issue_action'), 0) as issue_action,
        coalesce(sum(amount) filter (where entry_class = 'issue_referral'), 0) as issue_referral,
        coalesce(sum(amount) filter (where entry_class = 'issue_tier'), 0) as issue_tier,
        coalesce(sum(amount) filter (where entry_class = 'issue_manual'), 0) as issue_manual,
        coalesce(sum(amount) filter (where entry_class = 'issue_import'), 0) as issue_import,
        coalesce(sum(amount) filter (where entry_class = 'issue_reversal'), 0) as issue_reversal,
        coalesce(sum(amount) filter (where entry_class = 'redeem'), 0) as redeem,
        coalesce(sum(amount) filter (where entry_class = 'redeem_return'), 0) as redeem_return,
        coalesce(sum(amount) filter (where entry_class = 'expire'), 0) as expire,
        coalesce(sum(amount) filter (where entry_class = 'adjust_negative'), 0) as adjust_negative,
        coalesce(sum(amount) filter (where entry_class = 'unclassified'), 0) as unclassified,
        sum(amount) as net
    from entries
    group by date_trunc('month', entry_date), unit
),

final as (
    select
        months.month,
        months.unit,
        (
            coalesce(sum(by_class.net) over (partition by months.unit order by months.month), 0)
            - coalesce(by_class.net, 0)
        )::decimal(18, 4) as opening,
        coalesce(by_class.issue_purchase, 0)::decimal(18, 4) as issue_purchase,
        coalesce(by_class.issue_action, 0)::decimal(18, 4) as issue_action,
        coalesce(by_class.issue_referral, 0)::decimal(18, 4) as issue_referral,
        coalesce(by_class.issue_tier, 0)::decimal(18, 4) as issue_tier,
        coalesce(by_class.issue_manual, 0)::decimal(18, 4) as issue_manual,
        coalesce(by_class.issue_import, 0)::decimal(18, 4) as issue_import,
        coalesce(by_class.issue_reversal, 0)::decimal(18, 4) as issue_reversal,
        coalesce(by_class.redeem, 0)::decimal(18, 4) as redeem,
        coalesce(by_class.redeem_return, 0)::decimal(18, 4) as redeem_return,
        coalesce(by_class.expire, 0)::decimal(18, 4) as expire,
        coalesce(by_class.adjust_negative, 0)::decimal(18, 4) as adjust_negative,
        coalesce(by_class.unclassified, 0)::decimal(18, 4) as unclassified,
        coalesce(sum(by_class.net) over (partition by months.unit order by months.month), 0)::decimal(18, 4)
            as closing,
        months.month + interval 1 month <= clock.local_date as is_complete
    from months
    left join by_class
        on by_class.month = months.month
        and by_class.unit = months.unit
    cross join clock
)

select * from final
order by unit desc, month

-- Compares the segment 'all' with the sums of the ledger over the days of the period.
with rates as (
    select * from reports.rpt_redemption_rates where segment = 'all' and segment_tier_id is null
),
daily as (
    select
        entry_date,
        coalesce(-sum(amount) filter (where entry_class like 'redeem%'), 0) as redeemed,
        coalesce(sum(amount) filter (
            where entry_class like 'issue%' and entry_class <> 'issue_import'
        ), 0) as issued
    from marts.fct_points_ledger
    where unit = 'points'
    group by entry_date
)
select rates.period_type, rates.period_start
from rates
left join daily on daily.entry_date between rates.period_start and rates.period_end
group by rates.period_type, rates.period_start, rates.points_redeemed_net, rates.points_issued_net
having rates.points_redeemed_net <> coalesce(sum(daily.redeemed), 0)
    or rates.points_issued_net <> coalesce(sum(daily.issued), 0)

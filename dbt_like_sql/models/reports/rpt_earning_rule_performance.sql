with entries as (
    select
        earning_rule_id,
        if(earning_rule_id is null, source, null) as source,
        date_trunc('month', entry_date)::date as month,
        event_id,
        customer_id,
        entry_class,
        amount
    from marts.fct_points_ledger
    where unit = 'points'
        and entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'issue_tier', 'issue_manual', 'issue_reversal'
        )
        and amount <> 0
),

summed as (
    select
        month,
        earning_rule_id,
        source,
        count(*) filter (where entry_class <> 'issue_reversal') as events,
        count(distinct customer_id) filter (where entry_class <> 'issue_reversal') as members,
        coalesce(sum(amount) filter (where entry_class <> 'issue_reversal'), 0)::bigint as points_issued,
        coalesce(-sum(amount) filter (where entry_class = 'issue_reversal'), 0)::bigint as reversed
    from entries
    group by month, earning_rule_id, source
),

final as (
    select
        summed.month,
        summed.earning_rule_id,
        summed.source,
        coalesce(
            rules.rule_title,
            rules.rule_name,
            summed.source,
            'Rule ' || summed.earning_rule_id,
            '(no source)'
        ) as rule_title,
        summed.events,
        summed.members,
        summed.points_issued,
        summed.points_issued / nullif(sum(summed.points_issued) over (partition by summed.month), 0)
            as share_of_points,
        summed.reversed,
        summed.reversed / nullif(summed.points_issued, 0) as reversal_rate,
        summed.points_issued - summed.reversed as points_issued_net
    from summed
    left join staging.stg_rivo__earning_rules as rules on rules.earning_rule_id = summed.earning_rule_id
)

select * from final
order by month, points_issued desc, earning_rule_id, source

with months as (
    select
        period_number,
        year(period_start) * 12 + month(period_start) as month_index
    from intermediate.int_periods
    where period_type = 'month'
),

history as (
    select
        min(month_index) as first_index,
        max(period_number) as months
    from months
),

spells as (
    select
        customer_id,
        state,
        state_kind,
        tier_id,
        first_start as first_number,
        last_start as last_number
    from intermediate.int_spell_periods
    where period_type = 'month' and first_start <= last_start
),

claim_months as (
    select distinct
        customer_id,
        year(claim_date) * 12 + month(claim_date) as month_index
    from intermediate.int_redemptions
    where customer_id is not null and claim_date is not null
),

-- A claim makes a redeemer of its customer in the twelve months after it. Claims that lie closer together make one run.
flagged as (
    select
        customer_id,
        month_index,
        coalesce(lag(month_index) over (partition by customer_id order by month_index) < month_index - 12, true) as is_first
    from claim_months
),

numbered as (
    select
        customer_id,
        month_index,
        sum(if(is_first, 1, 0)) over (partition by customer_id order by month_index) as run_number
    from flagged
),

redeemers as (
    select
        numbered.customer_id,
        greatest(min(numbered.month_index) + 2 - max(history.first_index), 1) as first_number,
        least(max(numbered.month_index) + 13 - max(history.first_index), max(history.months)) as last_number
    from numbered
    cross join history
    group by numbered.customer_id, numbered.run_number
),

spans as (
    select
        'membership' as comparison,
        if(state_kind = 'not_member', 'not_member', 'member') as segment,
        null::bigint as segment_tier_id,
        customer_id,
        first_number,
        last_number
    from spells
    union all
    select
        'tier' as comparison,
        state as segment,
        tier_id as segment_tier_id,
        customer_id,
        first_number,
        last_number
    from spells
    where state_kind <> 'not_member'
    union all
    select
        'redeemer' as comparison,
        'redeemer' as segment,
        null::bigint as segment_tier_id,
        spells.customer_id,
        greatest(spells.first_number, redeemers.first_number) as first_number,
        least(spells.last_number, redeemers.last_number) as last_number
    from spells
    inner join redeemers
        on redeemers.customer_id = spells.customer_id
        and redeemers.first_number <= spells.last_number
        and redeemers.last_number >= spells.first_number
    where spells.state_kind <> 'not_member'
),

final as (
    select
        comparison,
        segment,
        segment_tier_id,
        customer_id,
        first_number,
        last_number
    from spans
    where first_number <= last_number
)

select * from final

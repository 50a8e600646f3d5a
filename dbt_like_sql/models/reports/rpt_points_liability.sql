with clock as (
    select * from intermediate.int_clock
),

-- The state of a month that is not over, and of later months for which entries are dated, is the state now.
months as (
    select
        rollforward.month,
        rollforward.unit,
        rollforward.is_complete,
        least(rollforward.month, date_trunc('month', clock.local_date))::date as known_month,
        if(
            rollforward.is_complete,
            rollforward.month - interval 12 month,
            date_trunc('month', clock.local_date) - interval 13 month
        )::date as last_old_month,
        if(rollforward.is_complete, (rollforward.month + interval 1 month - interval 1 day)::date, clock.local_date)
            as as_of
    from reports.rpt_points_rollforward as rollforward
    cross join clock
),

vintages as (
    select
        unit,
        earn_basis,
        issue_month,
        month,
        redeemed,
        expired,
        issued - redeemed - expired - reversed as remaining,
        redeemed + expired + reversed as taken
    from intermediate.int_points_vintage_changes
),

-- Entries without a customer cannot be allocated, so only their sum is outstanding. Debits that no credit has met yet
-- are those booked less those allocated.
without_basis as (
    select
        unit,
        date_trunc('month', entry_date)::date as month,
        sum(if(customer_id is null, amount, 0)) as remaining,
        sum(if(customer_id is not null and amount < 0, amount, 0)) as unallocated
    from marts.fct_points_ledger
    group by unit, date_trunc('month', entry_date)
    union all
    select
        unit,
        month,
        0 as remaining,
        sum(taken) as unallocated
    from vintages
    group by unit, month
),

balances as (
    select
        unit,
        earn_basis,
        month,
        sum(remaining) as remaining,
        0 as unallocated
    from vintages
    group by unit, earn_basis, month
    union all
    select
        unit,
        '(no_basis)' as earn_basis,
        month,
        sum(remaining) as remaining,
        sum(unallocated) as unallocated
    from without_basis
    group by unit, month
),

bases as (
    select distinct unit, earn_basis from balances
),

outstanding as (
    select
        months.month,
        months.unit,
        bases.earn_basis,
        coalesce(sum(balances.remaining), 0)::decimal(18, 4) as outstanding,
        coalesce(sum(balances.unallocated), 0)::decimal(18, 4) as unallocated_debits
    from months
    inner join bases on bases.unit = months.unit
    left join balances
        on balances.unit = bases.unit
        and balances.earn_basis = bases.earn_basis
        and balances.month <= months.month
    group by months.month, months.unit, bases.earn_basis
),

claims as (
    select
        date_trunc('month', claim_date)::date as month,
        sum(redemption_value) as value_redeemed,
        sum(if(redemption_value is not null, points_spent, 0)) as points_valued,
        sum(points_spent) as points_redeemed
    from marts.fct_redemption
    where points_spent > 0
    group by date_trunc('month', claim_date)
),

point_values as (
    select
        months.month,
        months.unit,
        coalesce(sum(claims.value_redeemed), 0)::decimal(18, 4) as value_redeemed_12m,
        sum(claims.points_valued)::bigint as points_valued_12m,
        sum(claims.points_redeemed)::bigint as points_redeemed_12m
    from months
    inner join claims
        on claims.month <= months.known_month
        and claims.month > months.known_month - interval 12 month
    where months.unit = 'points'
    group by months.month, months.unit
),

old_vintages as (
    select
        months.month,
        months.unit,
        sum(vintages.redeemed)::decimal(18, 4) as redeemed_of_old_vintages,
        sum(vintages.expired)::decimal(18, 4) as expired_of_old_vintages
    from months
    inner join vintages
        on vintages.unit = months.unit
        and vintages.issue_month <= months.last_old_month
        and vintages.month <= months.known_month
    group by months.month, months.unit
),

codes as (
    select
        if(redemptions.credits_spent > 0 and redemptions.points_spent = 0, 'credits', 'points') as unit,
        redemptions.redemption_value,
        redemptions.claim_date,
        (
            least(redemptions.revoked_at, redemptions.refunded_at, redemptions.used_at, redemptions.expires_at)
            at time zone clock.timezone
        )::date as closed_on,
        redemptions.status = 'open' as is_open
    from marts.fct_redemption as redemptions
    cross join clock
),

code_ends as (
    select
        unit,
        date_trunc('month', claim_date)::date as month,
        redemption_value,
        1 as opened
    from codes
    union all
    select
        unit,
        date_trunc('month', greatest(closed_on, claim_date))::date as month,
        -redemption_value as redemption_value,
        -1 as opened
    from codes
    where not is_open
),

code_months as (
    select
        unit,
        month,
        sum(redemption_value) as value_opened,
        sum(opened) as opened,
        sum(if(redemption_value is null, opened, 0)) as unvalued
    from code_ends
    group by unit, month
),

open_rewards as (
    select
        months.month,
        months.unit,
        sum(code_months.opened)::bigint as open_rewards,
        coalesce(sum(code_months.value_opened), 0)::decimal(18, 4) as open_reward_value,
        sum(code_months.unvalued)::bigint as open_reward_unvalued
    from months
    inner join code_months
        on code_months.unit = months.unit
        and code_months.month <= months.month
    group by months.month, months.unit
),

rated as (
    select
        outstanding.month,
        outstanding.unit,
        outstanding.earn_basis,
        outstanding.outstanding,
        outstanding.unallocated_debits,
        if(
            outstanding.unit = 'credits',
            1,
            try_cast(
                point_values.value_redeemed_12m / nullif(point_values.points_valued_12m, 0) as decimal(18, 8)
            )
        )::decimal(18, 8) as value_per_point,
        coalesce(point_values.value_redeemed_12m, 0) as value_redeemed_12m,
        coalesce(point_values.points_valued_12m, 0) as points_valued_12m,
        coalesce(point_values.points_redeemed_12m, 0) as points_redeemed_12m,
        (
            old_vintages.redeemed_of_old_vintages
            / nullif(old_vintages.redeemed_of_old_vintages + old_vintages.expired_of_old_vintages, 0)
        )::decimal(18, 8) as redemption_probability,
        coalesce(old_vintages.redeemed_of_old_vintages, 0) as redeemed_of_old_vintages,
        coalesce(old_vintages.expired_of_old_vintages, 0) as expired_of_old_vintages
    from outstanding
    left join point_values
        on point_values.month = outstanding.month
        and point_values.unit = outstanding.unit
    left join old_vintages
        on old_vintages.month = outstanding.month
        and old_vintages.unit = outstanding.unit
),

valued as (
    select
        *,
        -- DuckDB multiplies two decimals of 18 digits with 18 digits, which a balance of a billion points exceeds.
        (outstanding::decimal(38, 4) * value_per_point)::decimal(38, 4) as face_value
    from rated
),

final as (
    select
        valued.month,
        months.as_of,
        valued.unit,
        valued.earn_basis,
        valued.outstanding,
        valued.value_per_point,
        valued.value_redeemed_12m,
        valued.points_valued_12m,
        valued.points_redeemed_12m,
        valued.points_valued_12m / nullif(valued.points_redeemed_12m, 0) as known_value_share,
        valued.face_value,
        if(valued.value_per_point is null, valued.outstanding, 0)::decimal(18, 4) as outstanding_unvalued,
        valued.redemption_probability,
        valued.redeemed_of_old_vintages,
        valued.expired_of_old_vintages,
        (valued.face_value::decimal(38, 4) * valued.redemption_probability)::decimal(38, 4) as expected_value,
        if(valued.earn_basis = '(no_basis)', coalesce(open_rewards.open_rewards, 0), 0)::bigint as open_rewards,
        if(valued.earn_basis = '(no_basis)', coalesce(open_rewards.open_reward_value, 0), 0)::decimal(18, 4)
            as open_reward_value,
        if(valued.earn_basis = '(no_basis)', coalesce(open_rewards.open_reward_unvalued, 0), 0)::bigint
            as open_reward_unvalued,
        valued.unallocated_debits,
        months.is_complete
    from valued
    inner join months
        on months.month = valued.month
        and months.unit = valued.unit
    left join open_rewards
        on open_rewards.month = valued.month
        and open_rewards.unit = valued.unit
)

select * from final
order by unit desc, month, earn_basis

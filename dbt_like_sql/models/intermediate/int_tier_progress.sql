with clock as (
    select * from intermediate.int_clock
),

tiers as (
    select
        tier_id,
        coalesce(threshold, 0) as threshold
    from intermediate.int_tiers
    where is_current
),

thresholds as (
    select
        threshold,
        lead(threshold) over (order by threshold) as next_threshold
    from (select distinct threshold from tiers)
),

members as (
    select
        spells.customer_id,
        spells.tier_id,
        if(spells.tier_id is null, -1, coalesce(int_tiers.threshold, 0)) as held_threshold,
        customers.total_spent,
        customers.orders_count
    from intermediate.int_tier_spells as spells
    inner join staging.stg_rivo__customers as customers on customers.customer_id = spells.customer_id
    left join intermediate.int_tiers as int_tiers on int_tiers.tier_id = spells.tier_id
    where spells.is_right_censored
        and spells.state_kind <> 'not_member'
        and exists (select 1 from tiers)
),

-- Points earned, with and without points given manually: shops differ in whether these count towards a tier.
earned as (
    select
        earnings.customer_id,
        sum(earnings.amount) filter (where not earnings.is_manual) as lifetime,
        sum(earnings.amount) as lifetime_and_manual,
        sum(earnings.amount) filter (
            where not earnings.is_manual and earnings.earned_on > clock.local_date - 365
        ) as days_365,
        sum(earnings.amount) filter (where earnings.earned_on > clock.local_date - 365) as days_365_and_manual,
        sum(earnings.amount) filter (
            where not earnings.is_manual and year(earnings.earned_on) = year(clock.local_date)
        ) as this_year,
        sum(earnings.amount) filter (where year(earnings.earned_on) = year(clock.local_date)) as this_year_and_manual
    from intermediate.int_tier_earnings as earnings
    cross join clock
    where earnings.kind = 'points'
        and earnings.counts_from <= clock.local_date
    group by earnings.customer_id
),

ordered as (
    select
        earnings.customer_id,
        count(*) as days_365
    from intermediate.int_tier_earnings as earnings
    cross join clock
    where earnings.kind = 'orders'
        and earnings.earned_on > clock.local_date - 365
        and earnings.counts_from <= clock.local_date
    group by earnings.customer_id
),

measured as (
    select
        members.*,
        coalesce(earned.lifetime, 0) as points_lifetime,
        coalesce(earned.lifetime_and_manual, 0) as points_lifetime_and_manual,
        coalesce(earned.days_365, 0) as points_365_days,
        coalesce(earned.days_365_and_manual, 0) as points_365_days_and_manual,
        coalesce(earned.this_year, 0) as points_this_year,
        coalesce(earned.this_year_and_manual, 0) as points_this_year_and_manual,
        coalesce(members.total_spent, 0) as spend_lifetime,
        coalesce(members.orders_count, 0) as orders_lifetime,
        coalesce(ordered.days_365, 0) as orders_365_days
    from members
    left join earned on earned.customer_id = members.customer_id
    left join ordered on ordered.customer_id = members.customer_id
),

by_measure as (
    select customer_id, tier_id, held_threshold, 'points_365_days' as measure, points_365_days::decimal(18, 4) as progress
    from measured
    union all
    select customer_id, tier_id, held_threshold, 'points_365_days_and_manual' as measure, points_365_days_and_manual as progress
    from measured
    union all
    select customer_id, tier_id, held_threshold, 'points_this_year' as measure, points_this_year as progress
    from measured
    union all
    select customer_id, tier_id, held_threshold, 'points_this_year_and_manual' as measure, points_this_year_and_manual as progress
    from measured
    union all
    select customer_id, tier_id, held_threshold, 'points_lifetime' as measure, points_lifetime as progress
    from measured
    union all
    select customer_id, tier_id, held_threshold, 'points_lifetime_and_manual' as measure, points_lifetime_and_manual as progress
    from measured
    union all
    select customer_id, tier_id, held_threshold, 'spend_lifetime' as measure, spend_lifetime as progress
    from measured
    union all
    select customer_id, tier_id, held_threshold, 'orders_lifetime' as measure, orders_lifetime as progress
    from measured
    union all
    select customer_id, tier_id, held_threshold, 'orders_365_days' as measure, orders_365_days as progress
    from measured
),

-- The tier that the progress leads to: the one with the highest threshold that it reaches.
final as (
    select
        by_measure.customer_id,
        by_measure.measure,
        by_measure.progress::decimal(18, 4) as progress,
        by_measure.tier_id,
        by_measure.held_threshold,
        coalesce(tiers.threshold, -1) as earned_threshold,
        coalesce(tiers.threshold, -1) = by_measure.held_threshold as agrees
    from by_measure
    left join thresholds as tiers
        on tiers.threshold <= by_measure.progress
        and coalesce(tiers.next_threshold, by_measure.progress + 1) > by_measure.progress
)

select * from final

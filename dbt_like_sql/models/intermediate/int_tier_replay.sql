with clock as (
    select * from intermediate.int_clock
),

thresholds as (
    select
        threshold,
        min(tier_id) as tier_id,
        lead(threshold) over (order by threshold) as next_threshold
    from (
        select tier_id, coalesce(threshold, 0) as threshold
        from intermediate.int_tiers
        where is_current
    )
    group by threshold
),

members as (
    select
        spells.customer_id,
        joined.join_date
    from intermediate.int_tier_spells as spells
    inner join intermediate.int_join_dates as joined on joined.customer_id = spells.customer_id
    cross join clock
    where spells.is_right_censored
        and spells.state_kind <> 'not_member'
        and joined.join_date <= clock.local_date
),

-- Each amount is added on the day from which it counts and taken off when it drops out, so no day is looked at on which
-- nothing changes. The day of joining is looked at too, because it begins the first stay.
changes as (
    select
        customer_id,
        counts_from as local_day,
        amount
    from intermediate.int_tier_progress_entries
    union all
    select
        customer_id,
        drops_out_on as local_day,
        -amount as amount
    from intermediate.int_tier_progress_entries
    where drops_out_on is not null
    union all
    select
        customer_id,
        join_date as local_day,
        0 as amount
    from members
    where exists (select 1 from intermediate.int_tier_progress_entries)
),

by_day as (
    select
        changes.customer_id,
        changes.local_day,
        members.join_date,
        sum(changes.amount) as amount
    from changes
    inner join members on members.customer_id = changes.customer_id
    cross join clock
    where changes.local_day <= clock.local_date
    group by changes.customer_id, changes.local_day, members.join_date
),

progress as (
    select
        customer_id,
        local_day,
        join_date,
        sum(amount) over (partition by customer_id order by local_day) as progress
    from by_day
),

reached as (
    select
        progress.customer_id,
        progress.local_day,
        thresholds.tier_id,
        coalesce(thresholds.threshold, -1) as threshold
    from progress
    left join thresholds
        on thresholds.threshold <= progress.progress
        and coalesce(thresholds.next_threshold, progress.progress + 1) > progress.progress
    where progress.local_day >= progress.join_date
),

moved as (
    select
        customer_id,
        local_day,
        tier_id,
        threshold,
        lag(threshold) over (partition by customer_id order by local_day) as previous_threshold
    from reached
),

final as (
    select
        customer_id,
        local_day as first_day,
        lead(local_day) over (partition by customer_id order by local_day) - 1 as last_day,
        tier_id,
        threshold
    from moved
    where previous_threshold is null or previous_threshold <> threshold
)

select * from final

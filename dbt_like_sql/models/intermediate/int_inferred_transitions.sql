-- The end of a month is the start of the next one: month n begins at boundary n and ends at boundary n + 1.
with clock as (
    select * from intermediate.int_clock
),

bounds as (
    select
        min(year(month) * 12 + month(month)) - 1 as month_before,
        max(month_number) + 1 as last_boundary
    from intermediate.int_inferred_months
),

-- The boundaries within each stay, which are a run of consecutive numbers. The state at a boundary is the one at the
-- end of the day before.
counted as (
    select
        replay.customer_id,
        replay.tier_id,
        greatest(
            year(replay.first_day) * 12 + month(replay.first_day) + 1 - bounds.month_before,
            1
        ) as first_boundary,
        least(
            year(coalesce(replay.last_day, clock.local_date) + 1) * 12
            + month(coalesce(replay.last_day, clock.local_date) + 1) - bounds.month_before,
            bounds.last_boundary
        ) as last_boundary
    from intermediate.int_tier_replay as replay
    cross join bounds
    cross join clock
),

stays as (
    select
        customer_id,
        tier_id,
        first_boundary,
        last_boundary,
        row_number() over by_customer as stay_number,
        lead(first_boundary) over by_customer as next_boundary,
        lead(tier_id) over by_customer as next_tier_id
    from counted
    where first_boundary <= last_boundary
    window by_customer as (partition by customer_id order by first_boundary)
),

-- Members who stay are not looked up in each month: they count from the first of these months on, and no longer after
-- the last.
changed as (
    select
        tier_id,
        month_number,
        sum(change) as change
    from (
        select tier_id, first_boundary as month_number, 1 as change
        from stays
        union all
        select tier_id, last_boundary as month_number, -1 as change
        from stays
    )
    group by tier_id, month_number
),

tiers as (
    select distinct tier_id from changed
),

stayed as (
    select
        months.month_number,
        tiers.tier_id,
        sum(coalesce(changed.change, 0)) over (
            partition by tiers.tier_id
            order by months.month_number
        ) as members
    from intermediate.int_inferred_months as months
    cross join tiers
    left join changed
        on changed.month_number = months.month_number
        and changed.tier_id is not distinct from tiers.tier_id
),

parts as (
    select
        month_number,
        true as was_member,
        tier_id as from_tier_id,
        tier_id as to_tier_id,
        members
    from stayed
    where members > 0
    union all
    select
        last_boundary as month_number,
        true as was_member,
        tier_id as from_tier_id,
        next_tier_id as to_tier_id,
        1 as members
    from stays
    where next_boundary is not null
    union all
    select
        first_boundary - 1 as month_number,
        false as was_member,
        null as from_tier_id,
        tier_id as to_tier_id,
        1 as members
    from stays
    where stay_number = 1 and first_boundary > 1
),

final as (
    select
        months.month,
        months.month_end,
        parts.was_member,
        parts.from_tier_id,
        parts.to_tier_id,
        sum(parts.members)::bigint as members
    from parts
    inner join intermediate.int_inferred_months as months on months.month_number = parts.month_number
    group by months.month, months.month_end, parts.was_member, parts.from_tier_id, parts.to_tier_id
)

select * from final

with clock as (
    select * from intermediate.int_clock
),

horizons as (
    select
        horizons.horizon_days,
        clock.local_date + horizons.horizon_days as horizon_date
    from clock
    cross join (values (30), (60), (90)) as horizons (horizon_days)
),

-- No rows for a measure whose progress is never lost.
held as (
    select
        progress.customer_id,
        progress.tier_id,
        progress.measure,
        progress.progress,
        progress.held_threshold
    from intermediate.int_tier_progress as progress
    inner join intermediate.int_tier_progress_measure as chosen on chosen.measure = progress.measure
    where chosen.is_shown
        and chosen.progress_window in ('365_days', 'this_year')
        and progress.tier_id is not null
),

kept as (
    select
        entries.customer_id,
        horizons.horizon_days,
        sum(entries.amount) as progress
    from intermediate.int_tier_progress_entries as entries
    cross join clock
    inner join horizons on horizons.horizon_date < entries.drops_out_on
    where entries.counts_from <= clock.local_date
    group by entries.customer_id, horizons.horizon_days
),

compared as (
    select
        held.customer_id,
        held.tier_id,
        held.measure,
        horizons.horizon_days,
        horizons.horizon_date,
        held.progress as progress_now,
        coalesce(kept.progress, 0)::decimal(18, 4) as progress_then,
        held.held_threshold::decimal(18, 4) as threshold_held
    from held
    cross join horizons
    left join kept
        on kept.customer_id = held.customer_id
        and kept.horizon_days = horizons.horizon_days
),

final as (
    select
        compared.customer_id,
        members.email,
        compared.tier_id,
        members.tier_name as tier,
        compared.measure,
        compared.horizon_days,
        compared.horizon_date,
        compared.progress_now,
        compared.progress_then,
        compared.threshold_held,
        greatest(compared.threshold_held - compared.progress_then, 0)::decimal(18, 4) as points_to_keep,
        compared.progress_then < compared.threshold_held as is_at_risk
    from compared
    left join marts.dim_member as members on members.customer_id = compared.customer_id
)

select * from final
order by horizon_days, is_at_risk desc, points_to_keep, customer_id

with clock as (
    select * from intermediate.int_clock
),

spells as (
    select * from intermediate.int_tier_spells
),

observations as (
    select
        observations.observed_at,
        observations.previous_observed_at,
        (observations.observed_at at time zone clock.timezone)::date as local_day
    from intermediate.int_observations as observations
    cross join clock
),

-- A move leads directly from one spell to the next. A customer who was absent in between has not moved.
moves as (
    select
        spells.customer_id,
        previous.state as from_state,
        previous.state_kind as from_state_kind,
        previous.tier_id as from_tier_id,
        spells.state as to_state,
        spells.state_kind as to_state_kind,
        spells.tier_id as to_tier_id,
        spells.entered_at as changed_by,
        case when previous.is_left_censored then null else previous.days_in_state end as days_in_previous
    from spells
    inner join spells as previous
        on previous.customer_id = spells.customer_id
        and previous.spell_number = spells.spell_number - 1
        and previous.exited_at = spells.entered_at
),

-- Both thresholds at the time of the move; a tier that was deleted by then has its last known threshold. Ranks cannot
-- be compared, because the ranks of a deleted and an existing tier count different tiers. -1 is below every tier.
ranked as (
    select
        moves.*,
        if(moves.from_state_kind = 'no_tier', -1, coalesce(from_tiers.threshold, 0)) as from_threshold,
        if(moves.to_state_kind = 'no_tier', -1, coalesce(to_tiers.threshold, 0)) as to_threshold
    from moves
    left join intermediate.int_tier_thresholds as from_tiers
        on from_tiers.as_of = moves.changed_by
        and from_tiers.tier_id = moves.from_tier_id
    left join intermediate.int_tier_thresholds as to_tiers
        on to_tiers.as_of = moves.changed_by
        and to_tiers.tier_id = moves.to_tier_id
),

-- Customers can enter a tier twice between two observations; the last time led to the state observed.
announced as (
    select
        customer_id,
        vip_tier_id,
        observed_by,
        max(occurred_at) as changed_at
    from intermediate.int_tier_deliveries
    where vip_tier_id is not null
        and observed_by is not null
    group by customer_id, vip_tier_id, observed_by
),

final as (
    select
        ranked.customer_id,
        ranked.from_state,
        ranked.from_state_kind,
        ranked.from_tier_id,
        ranked.to_state,
        ranked.to_state_kind,
        ranked.to_tier_id,
        observations.previous_observed_at as changed_after,
        ranked.changed_by,
        observations.local_day as change_date,
        announced.changed_at as announced_at,
        case
            when ranked.from_state_kind = 'not_member' then 'enter'
            when ranked.to_state_kind = 'not_member' then 'leave'
            when ranked.to_threshold > ranked.from_threshold then 'upgrade'
            when ranked.to_threshold < ranked.from_threshold then 'downgrade'
            else 'lateral'
        end as direction,
        ranked.days_in_previous
    from ranked
    inner join observations on observations.observed_at = ranked.changed_by
    left join announced
        on announced.customer_id = ranked.customer_id
        and announced.vip_tier_id = ranked.to_tier_id
        and announced.observed_by = ranked.changed_by
)

select * from final

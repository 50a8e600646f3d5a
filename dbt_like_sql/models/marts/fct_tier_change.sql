with clock as (
    select * from intermediate.int_clock
),

spells as (
    select * from intermediate.int_tier_spells
),

observations as (
    select
        observed_at,
        lag(observed_at) over (order by observed_at) as previous_observed_at
    from (
        select distinct observed_at
        from staging.stg_rivo__sync_log
        where list_name = 'customers' and is_complete
    )
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

-- Tiers that were added, deleted or got another threshold. A new name changes no customer's tier.
tier_list_instants as (
    select valid_from as changed_at
    from (
        select
            tier_id,
            valid_from,
            lag(threshold) over (partition by tier_id order by valid_from) as previous_threshold,
            threshold
        from staging.stg_rivo__vip_tiers_history
    )
    where previous_threshold is distinct from threshold
        and valid_from > (
            select min(observed_at) from staging.stg_rivo__sync_log where list_name = 'vip_tiers' and is_complete
        )
    union
    select ended.valid_to as changed_at
    from staging.stg_rivo__vip_tiers_history as ended
    left join staging.stg_rivo__vip_tiers_history as following
        on following.tier_id = ended.tier_id
        and following.valid_from = ended.valid_to
    where ended.valid_to is not null
        and following.tier_id is null
),

tier_list_changes as (
    select distinct timezone(clock.timezone, tier_list_instants.changed_at)::date as change_date
    from tier_list_instants
    cross join clock
),

-- The number of moves and of members at each observation, and the usual number of moves in this shop.
moves_per_observation as (
    select
        observations.observed_at,
        count(moves.customer_id) as moves
    from observations
    left join moves on moves.changed_by = observations.observed_at
    group by observations.observed_at
),

members_per_observation as (
    select
        observations.observed_at,
        count(*) as members
    from observations
    inner join spells
        on spells.entered_at <= observations.observed_at
        and (spells.exited_at is null or spells.exited_at > observations.observed_at)
    where spells.state_kind <> 'not_member'
    group by observations.observed_at
),

usual as (
    select
        observed_at,
        moves,
        median(moves) over earlier as trailing_median,
        count(*) over earlier as trailing_observations
    from moves_per_observation
    window earlier as (order by observed_at rows between 28 preceding and 1 preceding)
),

mass_moves as (
    select usual.observed_at
    from usual
    inner join members_per_observation as members on members.observed_at = usual.observed_at
    where usual.moves > 5 * usual.trailing_median
        and usual.moves > 0.02 * members.members
        -- With fewer observations there is no usual number. The first observation never has moves.
        and usual.trailing_observations > 4
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
        ranked.from_tier_id,
        ranked.to_tier_id,
        ranked.from_state,
        ranked.to_state,
        observations.previous_observed_at as changed_after,
        ranked.changed_by,
        timezone(clock.timezone, ranked.changed_by)::date as change_date,
        case
            when ranked.from_state_kind = 'not_member' then 'enter'
            when ranked.to_state_kind = 'not_member' then 'leave'
            when ranked.to_threshold > ranked.from_threshold then 'upgrade'
            when ranked.to_threshold < ranked.from_threshold then 'downgrade'
            else 'lateral'
        end as direction,
        timezone(clock.timezone, ranked.changed_by)::date in (select change_date from tier_list_changes)
        or ranked.changed_by in (select observed_at from mass_moves) as is_structural,
        ranked.days_in_previous,
        announced.changed_at,
        if(announced.changed_at is null, null, 'webhook') as changed_at_basis
    from ranked
    inner join observations on observations.observed_at = ranked.changed_by
    cross join clock
    left join announced
        on announced.customer_id = ranked.customer_id
        and announced.vip_tier_id = ranked.to_tier_id
        and announced.observed_by = ranked.changed_by
)

select * from final

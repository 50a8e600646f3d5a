with clock as (
    select * from intermediate.int_clock
),

observations as (
    select * from intermediate.int_observations
),

moves as (
    select * from intermediate.int_tier_moves
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
    select distinct (tier_list_instants.changed_at at time zone clock.timezone)::date as change_date
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

changes as (
    select entered_at as changed_at, 1 as change
    from intermediate.int_tier_spells
    where state_kind <> 'not_member'
    union all
    select exited_at as changed_at, -1 as change
    from intermediate.int_tier_spells
    where state_kind <> 'not_member' and exited_at is not null
),

-- Sum up the changes of an instant first, so that members are not joined with every observation.
members_changed as (
    select changed_at, sum(change) as change
    from changes
    group by changed_at
),

members_per_observation as (
    select
        observations.observed_at,
        sum(members_changed.change) as members
    from observations
    inner join members_changed on members_changed.changed_at <= observations.observed_at
    group by observations.observed_at
    having sum(members_changed.change) > 0
),

numbered as (
    select
        observed_at,
        moves,
        row_number() over (order by observed_at) as observation_number
    from moves_per_observation
),

usual as (
    select
        numbered.observed_at,
        numbered.moves,
        median(earlier.moves) as trailing_median,
        count(earlier.moves) as trailing_observations
    from numbered
    left join numbered as earlier
        on earlier.observation_number between numbered.observation_number - 28 and numbered.observation_number - 1
    group by numbered.observed_at, numbered.moves
),

mass_moves as (
    select usual.observed_at
    from usual
    inner join members_per_observation as members on members.observed_at = usual.observed_at
    where usual.moves >= 5
        and if(
            -- With fewer observations there is no usual number. The first observation never has moves.
            usual.trailing_observations > 4,
            usual.moves > 5 * usual.trailing_median and usual.moves > 0.02 * members.members,
            usual.moves >= 0.1 * members.members
        )
),

final as (
    select
        customer_id,
        from_tier_id,
        to_tier_id,
        from_state,
        to_state,
        changed_after,
        changed_by,
        change_date,
        direction,
        change_date in (select change_date from tier_list_changes)
        or changed_by in (select observed_at from mass_moves) as is_structural,
        days_in_previous,
        announced_at as changed_at,
        if(announced_at is null, null, 'webhook') as changed_at_basis
    from moves
)

select * from final

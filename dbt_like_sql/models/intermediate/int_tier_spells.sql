with clock as (
    select * from intermediate.int_clock
),

versions as (
    select
        customer_id,
        case
            when not is_member then 'not_member'
            when vip_tier_id is null then 'no_tier'
            else 'tier'
        end as state_kind,
        if(is_member, vip_tier_id, null) as tier_id,
        valid_from,
        valid_to
    from staging.stg_rivo__customers_history
),

-- A version begins a spell unless it continues the one before: in the same state and without a gap. Balances may differ.
flagged as (
    select
        customer_id,
        state_kind,
        tier_id,
        valid_from,
        lag(valid_to) over by_customer as previous_valid_to,
        last_value(valid_to) over (
            partition by customer_id
            order by valid_from
            rows between unbounded preceding and unbounded following
        ) as last_valid_to,
        coalesce(
            lag(state_kind) over by_customer is not distinct from state_kind
            and lag(tier_id) over by_customer is not distinct from tier_id
            and lag(valid_to) over by_customer = valid_from,
            false
        ) as continues
    from versions
    window by_customer as (partition by customer_id order by valid_from)
),

-- A spell ends with the version before the next spell, or with the customer's last version.
spells as (
    select
        customer_id,
        row_number() over by_customer as spell_number,
        state_kind,
        tier_id,
        valid_from as entered_at,
        if(
            lead(valid_from) over by_customer is null, last_valid_to, lead(previous_valid_to) over by_customer
        ) as exited_at
    from flagged
    where not continues
    window by_customer as (partition by customer_id order by valid_from)
),

-- A tier that is no longer listed keeps its last known rank.
tier_ranks as (
    select
        tier_id,
        tier_rank,
        valid_from,
        lead(valid_from) over (partition by tier_id order by valid_from) as next_valid_from
    from intermediate.int_tier_versions
),

-- The rank when the spell began.
ranked as (
    select
        spells.customer_id,
        spells.spell_number,
        spells.state_kind,
        spells.tier_id,
        spells.entered_at,
        spells.exited_at,
        tier_ranks.tier_rank
    from spells
    left join tier_ranks
        on tier_ranks.tier_id = spells.tier_id
        and tier_ranks.valid_from <= spells.entered_at
        and (tier_ranks.next_valid_from is null or tier_ranks.next_valid_from > spells.entered_at)
),

final as (
    select
        ranked.customer_id,
        ranked.spell_number,
        coalesce(tiers.tier_name, ranked.state_kind) as state,
        ranked.state_kind,
        ranked.tier_id,
        case when ranked.state_kind = 'no_tier' then 0 else coalesce(ranked.tier_rank, tiers.tier_rank) end as tier_rank,
        ranked.entered_at,
        ranked.exited_at,
        ranked.entered_at = clock.history_start_at as is_left_censored,
        ranked.exited_at is null as is_right_censored,
        date_diff(
            'day',
            (ranked.entered_at at time zone clock.timezone)::date,
            (coalesce(ranked.exited_at, clock.customers_observed_at) at time zone clock.timezone)::date
        ) as days_in_state
    from ranked
    cross join clock
    left join intermediate.int_tiers as tiers on tiers.tier_id = ranked.tier_id
)

select * from final

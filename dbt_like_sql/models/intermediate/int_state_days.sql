with clock as (
    select timezone, history_start_date from intermediate.int_clock
),

-- The state of a day is the one at its last instant (local midnight), or at the last observation for the current day.
-- An observation exactly at midnight belongs to the day that ends then.
spells as (
    select
        spells.customer_id,
        spells.spell_number,
        spells.state,
        spells.state_kind,
        spells.tier_id,
        greatest(
            ((spells.entered_at - interval 1 microsecond) at time zone clock.timezone)::date,
            clock.history_start_date
        ) as first_day,
        ((spells.exited_at - interval 1 microsecond) at time zone clock.timezone)::date - 1 as last_day
    from intermediate.int_tier_spells as spells
    cross join clock
),

final as (
    select
        customer_id,
        spell_number,
        state,
        state_kind,
        tier_id,
        first_day,
        last_day
    from spells
    where last_day is null or last_day >= first_day
)

select * from final

with clock as (
    select timezone from intermediate.int_clock
),

events as (
    select
        events.event_id,
        events.customer_id,
        events.points_diff::decimal(18, 4) as points_diff,
        coalesce(signs.credits_diff, events.credits_diff) as credits_diff,
        events.source,
        events.earning_rule_id,
        events.redemption_id,
        events.order_id,
        events.entry_at,
        events.expires_at,
        events.revoked_at,
        events.is_hidden,
        unsettled.event_id is null as is_settled
    from staging.stg_rivo__points_events as events
    left join intermediate.int_credit_signs as signs on signs.event_id = events.event_id
    left join intermediate.int_unsettled_events as unsettled on unsettled.event_id = events.event_id
    -- An event that a complete read no longer contains is not in Rivo's balance either.
    where not events.is_deleted
),

-- One entry per unit that moved, because points and credits must never be added. An event that moved nothing gets a
-- points entry of 0, so that no event is lost.
by_unit as (
    select
        * exclude (points_diff, credits_diff),
        'points' as unit,
        points_diff as amount
    from events
    where points_diff <> 0 or credits_diff = 0
    union all
    select
        * exclude (points_diff, credits_diff),
        'credits' as unit,
        credits_diff as amount
    from events
    where credits_diff <> 0
),

-- A revoked event counted until it was revoked. Its revocation is a separate entry (a second "leg" of the event), so
-- the balance of any past day does not change.
legs as (
    select
        by_unit.*,
        'original' as leg,
        (by_unit.entry_at at time zone clock.timezone)::date as entry_date,
        (by_unit.expires_at at time zone clock.timezone)::date as expires_on,
        by_unit.revoked_at is not null as is_revoked
    from by_unit
    cross join clock
    union all
    select
        by_unit.* replace (-by_unit.amount as amount, by_unit.revoked_at as entry_at),
        'revocation' as leg,
        (by_unit.revoked_at at time zone clock.timezone)::date as entry_date,
        (by_unit.expires_at at time zone clock.timezone)::date as expires_on,
        true as is_revoked
    from by_unit
    cross join clock
    where by_unit.revoked_at is not null
),

counted as (
    select
        legs.*,
        case rules.tally_rule
            when 'a' then legs.leg = 'original'
            when 'b' then true
            when 'c' then not legs.is_hidden
            else not legs.is_hidden and legs.is_settled
        end as is_counted
    from legs
    inner join intermediate.int_tally_rule as rules on rules.unit = legs.unit
),

with_balance as (
    select
        event_id,
        customer_id,
        unit,
        leg,
        source,
        earning_rule_id,
        redemption_id,
        order_id,
        amount,
        entry_at,
        entry_date,
        expires_on,
        is_hidden,
        is_settled,
        is_revoked,
        is_counted,
        if(leg = 'original', amount, -amount) >= 0 as is_gain,
        sum(amount) over (
            partition by customer_id, unit, is_counted
            order by entry_at, event_id, leg
            rows between unbounded preceding and current row
        ) as balance_after
    from counted
),

-- Match the few distinct combinations against the rules instead of every entry.
combinations as (
    select distinct
        source,
        unit,
        amount >= 0 as is_gain,
        redemption_id is not null as has_redemption
    from by_unit
),

matched as (
    select
        combinations.source,
        combinations.unit,
        combinations.is_gain,
        combinations.has_redemption,
        coalesce(arg_min(rules.entry_class, rules.rule_order), 'unclassified') as entry_class,
        nullif(arg_min(coalesce(rules.earn_basis, ''), rules.rule_order), '') as earn_basis
    from combinations
    left join seeds.entry_class_rules as rules
        on regexp_matches(combinations.source, rules.source_pattern)
        and rules.sign in ('*', if(combinations.is_gain, '+', '-'))
        and rules.unit in ('*', combinations.unit)
        and rules.has_redemption in ('*', if(combinations.has_redemption, 'yes', 'no'))
    group by all
),

final as (
    select
        entries.event_id,
        entries.customer_id,
        entries.unit,
        entries.leg,
        case
            when entries.leg = 'original' then matched.entry_class
            when matched.entry_class = 'redeem' then 'redeem_return'
            -- Points that were never earned cannot be taken back: these keep their class, with the other sign.
            when matched.entry_class in ('expire', 'adjust_negative', 'issue_import', 'unclassified')
                then matched.entry_class
            else 'issue_reversal'
        end as entry_class,
        matched.earn_basis,
        entries.source,
        entries.earning_rule_id,
        entries.redemption_id,
        entries.order_id,
        entries.amount,
        entries.entry_at,
        entries.entry_date,
        entries.expires_on,
        entries.is_hidden,
        entries.is_settled,
        entries.is_revoked,
        entries.is_counted,
        if(entries.is_counted, entries.balance_after, null)::decimal(18, 4) as balance_after,
        -- Null before the start of history and while the customer was absent.
        spells.tier_id as tier_id_at_entry
    from with_balance as entries
    inner join matched
        on matched.source is not distinct from entries.source
        and matched.unit = entries.unit
        and matched.is_gain = entries.is_gain
        and matched.has_redemption = (entries.redemption_id is not null)
    left join intermediate.int_tier_spells as spells
        on spells.customer_id = entries.customer_id
        and spells.entered_at <= entries.entry_at
        and coalesce(spells.exited_at, timestamptz 'infinity') > entries.entry_at
)

select * from final

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

-- Match the few distinct combinations against the rules instead of every entry.
combinations as (
    select distinct
        source,
        unit,
        if(amount >= 0, '+', '-') as sign,
        if(redemption_id is null, 'no', 'yes') as has_redemption
    from by_unit
),

matched as (
    select
        combinations.source,
        combinations.unit,
        combinations.sign,
        combinations.has_redemption,
        coalesce(arg_min(rules.entry_class, rules.rule_order), 'unclassified') as entry_class,
        nullif(arg_min(coalesce(rules.earn_basis, ''), rules.rule_order), '') as earn_basis
    from combinations
    left join seeds.entry_class_rules as rules
        on regexp_matches(combinations.source, rules.source_pattern)
        and rules.sign in ('*', combinations.sign)
        and rules.unit in ('*', combinations.unit)
        and rules.has_redemption in ('*', combinations.has_redemption)
    group by all
),

classified as (
    select
        by_unit.*,
        matched.entry_class,
        matched.earn_basis
    from by_unit
    inner join matched
        on matched.source is not distinct from by_unit.source
        and matched.unit = by_unit.unit
        and matched.sign = if(by_unit.amount >= 0, '+', '-')
        and matched.has_redemption = if(by_unit.redemption_id is null, 'no', 'yes')
),

-- A revoked event counted until it was revoked. Its revocation is a separate entry (a second "leg" of the event), so
-- the balance of any past day does not change.
legs as (
    select
        classified.*,
        (classified.entry_at at time zone clock.timezone)::date as entry_date,
        (classified.expires_at at time zone clock.timezone)::date as expires_on,
        'original' as leg,
        classified.revoked_at is not null as is_revoked
    from classified
    cross join clock
    union all
    select
        classified.* replace (
            case
                when classified.entry_class = 'redeem' then 'redeem_return'
                when classified.entry_class in ('expire', 'adjust_negative') then classified.entry_class
                else 'issue_reversal'
            end as entry_class,
            -classified.amount as amount,
            classified.revoked_at as entry_at
        ),
        (classified.revoked_at at time zone clock.timezone)::date as entry_date,
        (classified.expires_at at time zone clock.timezone)::date as expires_on,
        'revocation' as leg,
        true as is_revoked
    from classified
    cross join clock
    where classified.revoked_at is not null
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

final as (
    select
        counted.event_id,
        counted.customer_id,
        counted.unit,
        counted.leg,
        counted.entry_class,
        counted.earn_basis,
        counted.source,
        counted.earning_rule_id,
        counted.redemption_id,
        counted.order_id,
        counted.amount,
        counted.entry_at,
        counted.entry_date,
        counted.expires_on,
        counted.is_hidden,
        counted.is_settled,
        counted.is_revoked,
        counted.is_counted,
        if(
            counted.is_counted,
            sum(counted.amount) over (
                partition by counted.customer_id, counted.unit, counted.is_counted
                order by counted.entry_at, counted.event_id, counted.leg
                rows between unbounded preceding and current row
            ),
            null
        )::decimal(18, 4) as balance_after,
        -- Null before the start of history and while the customer was absent.
        spells.tier_id as tier_id_at_entry
    from counted
    left join intermediate.int_tier_spells as spells
        on spells.customer_id = counted.customer_id
        and spells.entered_at <= counted.entry_at
        and coalesce(spells.exited_at, timestamptz 'infinity') > counted.entry_at
)

select * from final

with clock as (
    select * from intermediate.int_clock
),

-- Null if no event of the shop has an approval time; then no event is waiting for approval.
approvals as (
    select max(approved_at) as last_approved_at from staging.stg_rivo__points_events
),

events as (
    select
        events.*,
        coalesce(signs.credits_diff, events.credits_diff) as signed_credits,
        coalesce(
            events.entry_at <= clock.observed_at
            and (events.approved_at <= clock.observed_at or approvals.last_approved_at is null),
            false
        ) as is_settled
    from staging.stg_rivo__points_events as events
    left join intermediate.int_credit_signs as signs on signs.event_id = events.event_id
    cross join clock
    cross join approvals
    -- An event that a complete read no longer contains is not in Rivo's balance either.
    where not events.is_deleted
),

-- One entry per unit that moved, because points and credits must never be added. An event that moved nothing gets a
-- points entry of 0, so that no event is lost.
by_unit as (
    select
        event_id,
        customer_id,
        'points' as unit,
        points_diff::decimal(18, 4) as amount,
        source,
        earning_rule_id,
        redemption_id,
        order_id,
        entry_at,
        approved_at,
        revoked_at,
        is_hidden,
        is_settled
    from events
    where points_diff <> 0 or signed_credits = 0
    union all
    select
        event_id,
        customer_id,
        'credits' as unit,
        signed_credits as amount,
        source,
        earning_rule_id,
        redemption_id,
        order_id,
        entry_at,
        approved_at,
        revoked_at,
        is_hidden,
        is_settled
    from events
    where signed_credits <> 0
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
        arg_min(rules.entry_class, rules.rule_order) as entry_class,
        arg_min(coalesce(rules.earn_basis, ''), rules.rule_order) as earn_basis
    from combinations
    inner join seeds.entry_class_rules as rules
        on regexp_matches(combinations.source, rules.source_pattern)
        and rules.sign in ('*', combinations.sign)
        and rules.unit in ('*', combinations.unit)
        and rules.has_redemption in ('*', combinations.has_redemption)
    group by all
),

classified as (
    select
        by_unit.event_id,
        by_unit.customer_id,
        by_unit.unit,
        by_unit.amount,
        by_unit.source,
        by_unit.earning_rule_id,
        by_unit.redemption_id,
        by_unit.order_id,
        by_unit.entry_at,
        by_unit.approved_at,
        by_unit.revoked_at,
        by_unit.is_hidden,
        by_unit.is_settled,
        coalesce(matched.entry_class, 'unclassified') as entry_class,
        nullif(matched.earn_basis, '') as earn_basis
    from by_unit
    left join matched
        on matched.source is not distinct from by_unit.source
        and matched.unit = by_unit.unit
        and matched.sign = if(by_unit.amount >= 0, '+', '-')
        and matched.has_redemption = if(by_unit.redemption_id is null, 'no', 'yes')
),

-- A revoked event counted until it was revoked. Its revocation is a separate entry (a second "leg" of the event), so
-- the balance of any past day does not change.
legs as (
    select
        event_id,
        customer_id,
        unit,
        'original' as leg,
        entry_class,
        earn_basis,
        source,
        earning_rule_id,
        redemption_id,
        order_id,
        amount,
        entry_at,
        approved_at,
        is_hidden,
        is_settled,
        revoked_at is not null as is_revoked
    from classified
    union all
    select
        event_id,
        customer_id,
        unit,
        'revocation' as leg,
        case
            when entry_class = 'redeem' then 'redeem_return'
            when entry_class in ('expire', 'adjust_negative') then entry_class
            else 'issue_reversal'
        end as entry_class,
        earn_basis,
        source,
        earning_rule_id,
        redemption_id,
        order_id,
        -amount as amount,
        revoked_at as entry_at,
        approved_at,
        is_hidden,
        is_settled,
        true as is_revoked
    from classified
    where revoked_at is not null
),

final as (
    select
        legs.event_id || '-' || legs.unit || '-' || legs.leg as entry_id,
        legs.event_id,
        legs.customer_id,
        legs.unit,
        legs.leg,
        legs.entry_class,
        legs.earn_basis,
        legs.source,
        legs.earning_rule_id,
        legs.redemption_id,
        legs.order_id,
        legs.amount,
        legs.entry_at,
        timezone(clock.timezone, legs.entry_at)::date as entry_date,
        legs.approved_at,
        legs.is_hidden,
        legs.is_settled,
        legs.is_revoked,
        case rules.tally_rule
            when 'a' then legs.leg = 'original'
            when 'b' then true
            when 'c' then not legs.is_hidden
            else not legs.is_hidden and legs.is_settled
        end as is_counted
    from legs
    inner join intermediate.int_tally_rule as rules on rules.unit = legs.unit
    cross join clock
)

select * from final

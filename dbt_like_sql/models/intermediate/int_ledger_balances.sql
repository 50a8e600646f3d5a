with clock as (
    select * from intermediate.int_clock
),

events as (
    select
        events.customer_id,
        events.points_diff::decimal(18, 4) as points_diff,
        coalesce(signs.credits_diff, events.credits_diff) as credits_diff,
        events.entry_at,
        events.revoked_at is not null as is_revoked,
        events.is_hidden,
        unsettled.event_id is null as is_settled
    from staging.stg_rivo__points_events as events
    left join intermediate.int_credit_signs as signs on signs.event_id = events.event_id
    left join intermediate.int_unsettled_events as unsettled on unsettled.event_id = events.event_id
    where not events.is_deleted
        and events.customer_id is not null
),

by_unit as (
    select customer_id, 'points' as unit, points_diff as amount, entry_at, is_revoked, is_hidden, is_settled
    from events
    where points_diff <> 0 or credits_diff = 0
    union all
    select customer_id, 'credits' as unit, credits_diff as amount, entry_at, is_revoked, is_hidden, is_settled
    from events
    where credits_diff <> 0
),

-- Each rule excludes what the previous one excludes, and more. The sums come from the events, not from the ledger's
-- legs, so they are an independent check of those.
ledger as (
    select
        by_unit.customer_id,
        by_unit.unit,
        count(*) as events,
        coalesce(sum(by_unit.amount), 0) as balance_a,
        coalesce(sum(by_unit.amount) filter (where not by_unit.is_revoked), 0) as balance_b,
        coalesce(sum(by_unit.amount) filter (where not by_unit.is_revoked and not by_unit.is_hidden), 0) as balance_c,
        coalesce(
            sum(by_unit.amount) filter (where not by_unit.is_revoked and not by_unit.is_hidden and by_unit.is_settled),
            0
        ) as balance_d,
        coalesce(sum(by_unit.amount) filter (where by_unit.entry_at >= clock.customers_observed_at), 0)
            as amount_since_tally
    from by_unit
    cross join clock
    group by by_unit.customer_id, by_unit.unit
),

tallies as (
    select customer_id, 'points' as unit, points_tally::decimal(18, 4) as tally, is_member
    from staging.stg_rivo__customers
    where not is_deleted
    union all
    select customer_id, 'credits' as unit, credits_tally as tally, is_member
    from staging.stg_rivo__customers
    where not is_deleted
),

final as (
    select
        coalesce(tallies.customer_id, ledger.customer_id) as customer_id,
        coalesce(tallies.unit, ledger.unit) as unit,
        coalesce(tallies.is_member, false) as is_member,
        tallies.tally,
        coalesce(ledger.events, 0) as events,
        coalesce(ledger.balance_a, 0)::decimal(18, 4) as balance_a,
        coalesce(ledger.balance_b, 0)::decimal(18, 4) as balance_b,
        coalesce(ledger.balance_c, 0)::decimal(18, 4) as balance_c,
        coalesce(ledger.balance_d, 0)::decimal(18, 4) as balance_d,
        coalesce(ledger.amount_since_tally, 0)::decimal(18, 4) as amount_since_tally
    from tallies
    full outer join ledger
        on ledger.customer_id = tallies.customer_id
        and ledger.unit = tallies.unit
)

select * from final

with clock as (
    select * from intermediate.int_clock
),

rules as (
    select tally_rule
    from (values ('a'), ('b'), ('c'), ('d')) as listed (tally_rule)
),

customers as (
    select distinct
        events.customer_id,
        customers.credits_tally
    from staging.stg_rivo__points_events as events
    inner join staging.stg_rivo__customers as customers on customers.customer_id = events.customer_id
    where events.is_credit_sign_assumed
        and not events.is_deleted
        and not customers.is_deleted
        and customers.credits_tally is not null
),

-- What the tally can hold: events from before it was read, as each rule counts them.
counted as (
    select
        events.customer_id,
        rules.tally_rule,
        events.event_id,
        events.entry_at,
        events.credits_diff,
        events.is_credit_sign_assumed
    from staging.stg_rivo__points_events as events
    cross join clock
    left join intermediate.int_unsettled_events as unsettled on unsettled.event_id = events.event_id
    inner join rules
        on case rules.tally_rule
            when 'a' then true
            when 'b' then events.revoked_at is null
            when 'c' then events.revoked_at is null and not events.is_hidden
            else events.revoked_at is null
                and not events.is_hidden
                and unsettled.event_id is null
        end
    where not events.is_deleted
        and events.credits_diff <> 0
        and events.entry_at < clock.customers_observed_at
        and events.customer_id in (select customer_id from customers)
),

differences as (
    select
        customers.customer_id,
        rules.tally_rule,
        customers.credits_tally - coalesce(sum(counted.credits_diff), 0) as difference
    from customers
    cross join rules
    left join counted
        on counted.customer_id = customers.customer_id
        and counted.tally_rule = rules.tally_rule
    group by customers.customer_id, rules.tally_rule, customers.credits_tally
),

-- Customers whose tally no rule explains with the signs of staging.
unexplained as (
    select customer_id from differences
    group by customer_id
    having count(*) filter (where difference = 0) = 0
),

assumed as (
    select counted.*
    from counted
    inner join unexplained on unexplained.customer_id = counted.customer_id
    where counted.is_credit_sign_assumed
),

-- One event with the other sign, or two, that make the ledger equal to the tally.
explanations as (
    select
        one.customer_id,
        one.event_id as one_id,
        other.event_id as other_id,
        row_number() over (
            partition by one.customer_id
            order by one.event_id <> other.event_id, one.tally_rule <> 'b', one.tally_rule, other.entry_at desc,
                one.entry_at desc, other.event_id desc, one.event_id desc
        ) as explanation_order
    from assumed as one
    inner join assumed as other
        on other.customer_id = one.customer_id
        and other.tally_rule = one.tally_rule
        and other.event_id >= one.event_id
    inner join differences
        on differences.customer_id = one.customer_id
        and differences.tally_rule = one.tally_rule
        and differences.difference
        = -2 * (one.credits_diff + if(other.event_id = one.event_id, 0, other.credits_diff))
),

changed as (
    select customer_id, one_id as event_id from explanations
    where explanation_order = 1
    union
    select customer_id, other_id as event_id from explanations
    where explanation_order = 1
),

final as (
    select distinct
        assumed.event_id,
        assumed.customer_id,
        if(changed.event_id is null, assumed.credits_diff, -assumed.credits_diff) as credits_diff,
        changed.event_id is not null as is_changed,
        explained.customer_id is null as is_doubtful
    from assumed
    left join changed on changed.event_id = assumed.event_id
    left join (select distinct customer_id from changed) as explained on explained.customer_id = assumed.customer_id
)

select * from final

with clock as (
    select * from intermediate.int_clock
),

signed_up as (
    select customer_id, min(entry_date) as joined_day
    from intermediate.int_ledger_entries
    where source = 'customer_member_enabled' and leg = 'original' and customer_id is not null
    group by customer_id
),

-- A deleted customer was observed until the sync that no longer found the row, all others until now.
members as (
    select
        signed_up.customer_id,
        signed_up.joined_day,
        coalesce((customers.deleted_at at time zone clock.timezone)::date, clock.local_date) as last_day
    from signed_up
    left join staging.stg_rivo__customers as customers on customers.customer_id = signed_up.customer_id
    cross join clock
),

followed as (
    select * from members
    where joined_day <= last_day
),

entries as (
    select
        followed.customer_id,
        ledger.event_id,
        ledger.entry_class,
        ledger.entry_date
    from intermediate.int_ledger_entries as ledger
    inner join followed
        on followed.customer_id = ledger.customer_id
        and ledger.entry_date between followed.joined_day and followed.last_day
    where ledger.is_counted and ledger.leg = 'original' and ledger.amount > 0
        and ledger.entry_class in ('issue_purchase', 'issue_action', 'issue_referral')
        -- Every member gets the sign-up bonus, on the day of joining.
        and ledger.source <> 'customer_member_enabled'
),

earned as (
    select customer_id, min(entry_date) as event_day
    from entries
    group by customer_id
),

-- An order that earned points and credits has two entries.
orders as (
    select distinct customer_id, event_id, entry_date
    from entries
    where entry_class = 'issue_purchase'
),

numbered_orders as (
    select
        customer_id,
        entry_date,
        row_number() over (partition by customer_id order by entry_date, event_id) as order_number
    from orders
),

redeemed as (
    select
        followed.customer_id,
        min(redemptions.claim_date) as event_day
    from intermediate.int_redemptions as redemptions
    inner join followed
        on followed.customer_id = redemptions.customer_id
        and redemptions.claim_date between followed.joined_day and followed.last_day
    group by followed.customer_id
),

first_days as (
    select customer_id, 'earn' as event, event_day from earned
    union all
    select customer_id, 'redeem' as event, event_day from redeemed
    union all
    select customer_id, 'second_order' as event, entry_date as event_day from numbered_orders
    where order_number = 2
),

events as (
    select 'earn' as event
    union all
    select 'redeem' as event
    union all
    select 'second_order' as event
),

cohorts as (
    select
        date_trunc('quarter', joined_day)::date as join_quarter,
        max(date_diff('day', joined_day, last_day)) as longest_follow_up
    from followed
    group by date_trunc('quarter', joined_day)
),

final as (
    select
        cohorts.join_quarter,
        events.event,
        date_diff('day', followed.joined_day, coalesce(first_days.event_day, followed.last_day)) as days,
        first_days.event_day is not null as is_observed,
        cohorts.longest_follow_up,
        count(*) as members
    from followed
    inner join cohorts on cohorts.join_quarter = date_trunc('quarter', followed.joined_day)
    cross join events
    left join first_days
        on first_days.customer_id = followed.customer_id
        and first_days.event = events.event
    group by all
)

select * from final

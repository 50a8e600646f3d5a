with clock as (
    select timezone from intermediate.int_clock
),

customers as (
    select
        customer_id,
        loyalty_status_changed_at
    from staging.stg_rivo__customers
    where is_member
),

ledger as (
    select
        customer_id,
        min(entry_at) as first_entry_at,
        min(entry_at) filter (where source = 'customer_member_enabled' and leg = 'original') as signed_up_at
    from intermediate.int_ledger_entries
    where customer_id is not null
    group by customer_id
),

-- Rivo sends no date of joining; joined_at_basis names the substitute.
dated as (
    select
        coalesce(customers.customer_id, ledger.customer_id) as customer_id,
        case
            when ledger.signed_up_at is not null then ledger.signed_up_at
            when customers.loyalty_status_changed_at is not null then customers.loyalty_status_changed_at
            when customers.customer_id is not null then ledger.first_entry_at
        end as joined_at,
        case
            when ledger.signed_up_at is not null then 'sign_up_event'
            when customers.loyalty_status_changed_at is not null then 'loyalty_status_change'
            else 'first_ledger_entry'
        end as joined_at_basis
    from customers
    full outer join ledger on ledger.customer_id = customers.customer_id
),

final as (
    select
        dated.customer_id,
        dated.joined_at,
        (dated.joined_at at time zone clock.timezone)::date as join_date,
        dated.joined_at_basis
    from dated
    cross join clock
    where dated.joined_at is not null
)

select * from final

with balances as (
    select * from intermediate.int_ledger_balances
),

rules as (
    select * from intermediate.int_tally_rule
),

under_the_rule as (
    select
        balances.*,
        rules.tally_rule,
        case rules.tally_rule
            when 'a' then balances.balance_a
            when 'b' then balances.balance_b
            when 'c' then balances.balance_c
            else balances.balance_d
        end as ledger_balance
    from balances
    inner join rules on rules.unit = balances.unit
),

final as (
    select
        customer_id,
        unit,
        is_member,
        tally,
        balance_a,
        balance_b,
        balance_c,
        balance_d,
        tally_rule,
        ledger_balance,
        ledger_balance - tally as diff,
        ledger_balance = tally as is_reconciled,
        -- The first explanation under which the numbers agree.
        case
            when tally is null then 'no_tally'
            when ledger_balance = tally then null
            when events = 0 then 'no_entries'
            when ledger_balance - amount_since_tally = tally then 'entries_since_tally'
            when balance_b = tally then 'agrees_under_b'
            when balance_c = tally then 'agrees_under_c'
            when balance_d = tally then 'agrees_under_d'
            when balance_a = tally then 'agrees_under_a'
            when tally = 0 and ledger_balance < 0 then 'tally_stops_at_zero'
            else 'unexplained'
        end as reason
    from under_the_rule
)

select * from final
order by unit desc, customer_id

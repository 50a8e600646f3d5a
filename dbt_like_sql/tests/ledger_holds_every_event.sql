-- Recomputed from Rivo's events, under the rule that the shop's tallies follow.
select customer_id, unit
from (
    select
        balances.customer_id,
        balances.unit,
        case rules.tally_rule
            when 'a' then balances.balance_a
            when 'b' then balances.balance_b
            when 'c' then balances.balance_c
            else balances.balance_d
        end as amount
    from intermediate.int_ledger_balances as balances
    inner join intermediate.int_tally_rule as rules on rules.unit = balances.unit
    union all
    select customer_id, unit, -amount from marts.fct_points_ledger where customer_id is not null
)
group by customer_id, unit
having sum(amount) <> 0

-- A spell that begins when another ends is one move, and there must be no other moves.
with consecutive as (
    select entered.customer_id, entered.entered_at as changed_by
    from intermediate.int_tier_spells as entered
    inner join intermediate.int_tier_spells as previous
        on previous.customer_id = entered.customer_id
        and previous.exited_at = entered.entered_at
)
select customer_id, changed_by
from (
    select customer_id, changed_by, 1 as moves from consecutive
    union all
    select customer_id, changed_by, -1 as moves from marts.fct_tier_change
)
group by customer_id, changed_by
having sum(moves) <> 0

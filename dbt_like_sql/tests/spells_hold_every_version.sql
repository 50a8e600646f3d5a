-- The spells of a customer must last exactly as long as the versions they are built from.
select customer_id
from (
    select
        customer_id,
        coalesce(epoch_us(valid_to), 0) - epoch_us(valid_from) as lasts,
        if(valid_to is null, 1, 0) as is_open
    from staging.stg_rivo__customers_history
    union all
    select
        customer_id,
        epoch_us(entered_at) - coalesce(epoch_us(exited_at), 0) as lasts,
        if(exited_at is null, -1, 0) as is_open
    from intermediate.int_tier_spells
)
group by customer_id
having sum(lasts) <> 0 or sum(is_open) <> 0

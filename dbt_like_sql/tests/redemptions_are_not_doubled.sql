-- A customer cannot claim the same code twice at the same time, so such a pair is one redemption with two ids.
select redemption_id, customer_id
from (
    select
        redemption_id,
        customer_id,
        count(*) over (partition by code, customer_id, claimed_at) as copies
    from marts.fct_redemption
    where code is not null
)
where copies > 1

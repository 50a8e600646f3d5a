-- No relationships test, because dim_member itself is built from these facts.
with facts as (
    select customer_id from marts.fct_redemption
    union
    select customer_id from marts.fct_tier_change
)
select facts.customer_id
from facts
where facts.customer_id is not null
    and not exists (select 1 from marts.dim_member as members where members.customer_id = facts.customer_id)

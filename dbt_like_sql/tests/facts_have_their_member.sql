-- Relationships tests are not possible, because dim_member is built from these facts or from their sources.
with facts as (
    select customer_id from marts.fct_points_ledger
    union
    select customer_id from marts.fct_redemption
    union
    select customer_id from marts.fct_tier_change
    union
    select advocate_customer_id as customer_id from marts.fct_referral where not is_deleted
    union
    select friend_customer_id as customer_id from marts.fct_referral where not is_deleted
)
select facts.customer_id
from facts
where facts.customer_id is not null
    and not exists (select 1 from marts.dim_member as members where members.customer_id = facts.customer_id)

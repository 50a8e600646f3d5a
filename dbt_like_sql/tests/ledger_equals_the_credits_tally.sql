-- The members whose ledger differs from Rivo's count, once they are more than 1 %.
with members as (
    select customer_id, credits_balance <> credits_tally as differs
    from marts.dim_member
    where is_member and credits_tally is not null
)
select customer_id
from members
where differs
    and (select count(*) filter (where differs) > 0.01 * count(*) from members)

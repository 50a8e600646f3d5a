-- A customer and the open version of the history come from the same read, so they must be equal.
with listed as (
    select * from staging.stg_rivo__customers
    where not is_deleted
),
versions as (
    select * from staging.stg_rivo__customers_history
    where is_current
)
select
    coalesce(listed.customer_id, versions.customer_id) as customer_id,
    listed.vip_tier_id,
    versions.vip_tier_id as history_tier_id
from listed
full outer join versions on versions.customer_id = listed.customer_id
where listed.customer_id is null
    or versions.customer_id is null
    or listed.vip_tier_id is distinct from versions.vip_tier_id
    or listed.loyalty_status is distinct from versions.loyalty_status
    or listed.points_tally is distinct from versions.points_tally
    or listed.credits_tally is distinct from versions.credits_tally
    or listed.orders_count is distinct from versions.orders_count
    or listed.total_spent is distinct from versions.total_spent

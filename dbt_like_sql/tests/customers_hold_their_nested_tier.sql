with nested as (
    select
        customers.customer_id,
        customers.vip_tier_id,
        try_cast(raw.vip_tier ->> '$.id' as bigint) as nested_tier_id
    from staging.stg_rivo__customers as customers
    inner join rivo_raw.customers as raw on raw.id = customers.customer_id
    where not customers.is_deleted
)
select customer_id, vip_tier_id, nested_tier_id
from nested
where nested_tier_id is not null and nested_tier_id is distinct from vip_tier_id

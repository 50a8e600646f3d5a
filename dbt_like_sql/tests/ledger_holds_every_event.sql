-- Counted anew from Rivo's events: those that still stand make the balance, as revoked ones cancel out.
select customer_id
from (
    select customer_id, points_diff as points, credits_diff as credits
    from staging.stg_rivo__points_events
    where not is_deleted and revoked_at is null
    union all
    select
        customer_id,
        if(unit = 'points', -amount, 0) as points,
        if(unit = 'credits', -amount, 0) as credits
    from marts.fct_points_ledger
)
group by customer_id
having sum(points) <> 0 or sum(credits) <> 0

-- An event has one entry per unit it moved, at least one, and twice that number if it is revoked.
select event_id
from (
    select
        event_id,
        greatest(1, if(points_diff <> 0, 1, 0) + if(credits_diff <> 0, 1, 0))
        * if(revoked_at is null, 1, 2) as entries
    from staging.stg_rivo__points_events
    where not is_deleted
    union all
    select event_id, -1 from intermediate.int_ledger_entries
)
group by event_id
having sum(entries) <> 0

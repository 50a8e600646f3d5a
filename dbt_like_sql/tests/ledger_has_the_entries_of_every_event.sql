-- An event has one entry per unit it moved, at least one, and a second one of each if it is revoked. The sum of an event
-- has three digits for each unit and leg, so an entry that is missing, wrong or there twice is found.
select event_id
from (
    select
        event_id,
        (if(points_diff = 0 and credits_diff <> 0, 0, 1) + if(credits_diff <> 0, 1000, 0))
        * if(revoked_at is null, 1, 1000001) as entries
    from staging.stg_rivo__points_events
    where not is_deleted
    union all
    select event_id, -if(unit = 'points', 1, 1000) * if(leg = 'original', 1, 1000000) as entries
    from intermediate.int_ledger_entries
)
group by event_id
having sum(entries) <> 0

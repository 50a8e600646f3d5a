-- The replay takes running sums of the ledger, int_tier_progress one sum for today.
select progress.customer_id
from intermediate.int_tier_progress as progress
inner join intermediate.int_tier_progress_measure as chosen on chosen.measure = progress.measure
left join intermediate.int_tier_replay as replay
    on replay.customer_id = progress.customer_id
    and replay.last_day is null
inner join intermediate.int_join_dates as joined on joined.customer_id = progress.customer_id
cross join intermediate.int_clock as clock
where chosen.is_shown
    and chosen.is_dated
    and exists (select 1 from intermediate.int_tier_progress_entries)
    and (joined.joined_at at time zone clock.timezone)::date <= clock.local_date
    and replay.threshold is distinct from progress.earned_threshold

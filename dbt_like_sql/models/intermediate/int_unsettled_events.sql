with clock as (
    select * from intermediate.int_clock
),

-- Null if no event of the shop has an approval time; then no event is waiting for approval.
approvals as (
    select max(approved_at) as last_approved_at from staging.stg_rivo__points_events
),

final as (
    select
        events.event_id,
        events.entry_at,
        events.approved_at
    from staging.stg_rivo__points_events as events
    cross join clock
    cross join approvals
    where not coalesce(
        events.entry_at <= clock.observed_at
        and (events.approved_at <= clock.observed_at or approvals.last_approved_at is null),
        false
    )
)

select * from final

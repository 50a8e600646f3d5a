-- Compares the rows that the last full read of a list loaded, plus the new rows of later syncs, with the rows that
-- are in the warehouse. For a list with missing rows it also returns what may point to them: members whose ledger no
-- longer equals their tally, and redemptions without a ledger entry or the reverse.
with readings as (
    select
        list_name,
        observed_at,
        kind,
        rows_read - rows_quarantined as rows_kept,
        rows_new,
        max(case when kind = 'full' then observed_at end) over (partition by list_name) as swept_at
    from staging.stg_rivo__sync_log
    where is_complete
),
expected as (
    select
        list_name,
        swept_at,
        -- Two syncs within one second have the same observed_at; take the smaller number of rows, which is certain.
        min(rows_kept) filter (where kind = 'full' and observed_at = swept_at)
        + coalesce(sum(rows_new) filter (where observed_at > swept_at), 0) as expected
    from readings
    where observed_at >= swept_at
    group by list_name, swept_at
),
-- To check another list, add a branch here. A count without GROUP BY is 0, not missing, if the table lost all rows.
held as (
    select 'customers' as list_name, count(*) as found
    from staging.stg_rivo__customers
    where last_seen_at >= (select swept_at from expected where list_name = 'customers')
    union all
    select 'points_events', count(*)
    from staging.stg_rivo__points_events
    where last_seen_at >= (select swept_at from expected where list_name = 'points_events')
    union all
    select 'points_redemptions', count(*)
    from staging.stg_rivo__points_redemptions
    where last_seen_at >= (select swept_at from expected where list_name = 'points_redemptions')
    union all
    select 'referrals', count(*)
    from staging.stg_rivo__referrals
    where last_seen_at >= (select swept_at from expected where list_name = 'referrals')
),
found as (
    select expected.list_name, expected.expected, held.found
    from expected
    inner join held on held.list_name = expected.list_name
),
suspects as (
    select 'points_events' as list_name, customer_id, null::bigint as redemption_id, diff
    from reports.rpt_ledger_reconciliation
    where not is_reconciled
    union all
    select 'points_events', redemptions.customer_id, redemptions.redemption_id, null
    from marts.fct_redemption as redemptions
    left join intermediate.int_ledger_entries as entries on entries.redemption_id = redemptions.redemption_id
    where (redemptions.points_spent > 0 or redemptions.credits_spent > 0) and entries.event_id is null
    union all
    select 'points_redemptions', entries.customer_id, entries.redemption_id, null
    from intermediate.int_ledger_entries as entries
    left join marts.fct_redemption as redemptions on redemptions.redemption_id = entries.redemption_id
    where entries.redemption_id is not null and redemptions.redemption_id is null
)
select
    found.list_name as list_id,
    suspects.customer_id,
    suspects.redemption_id,
    found.expected,
    found.found,
    suspects.diff
from found
left join suspects on suspects.list_name = found.list_name
where found.found < found.expected

-- Since the last complete reading of a list: what it brought and what came new after it, against what is there.
-- Beside the list stand the rows that a missing one would leave behind: members whose ledger no longer gives their
-- tally, and redemptions that nothing pays for.
with readings as (
    select
        list_name,
        observed_at,
        kind,
        rows_read - rows_quarantined as rows_kept,
        rows_new,
        max(observed_at) filter (where kind = 'full') over (partition by list_name) as swept_at
    from staging.stg_rivo__sync_log
    where is_complete
),
expected as (
    select
        list_name,
        swept_at,
        -- Syncs of the same second cannot be told apart; the least that any of them leaves is certain.
        min(rows_kept) filter (where kind = 'full' and observed_at = swept_at)
        + coalesce(sum(rows_new) filter (where observed_at > swept_at), 0) as expected
    from readings
    where observed_at >= swept_at
    group by list_name, swept_at
),
held as (
    select 'customers' as list_name, last_seen_at from staging.stg_rivo__customers
    union all
    select 'points_events', last_seen_at from staging.stg_rivo__points_events
    union all
    select 'points_redemptions', last_seen_at from staging.stg_rivo__points_redemptions
    union all
    select 'referrals', last_seen_at from staging.stg_rivo__referrals
),
found as (
    select
        expected.list_name,
        expected.expected,
        count(held.list_name) as found
    from expected
    left join held on held.list_name = expected.list_name and held.last_seen_at >= expected.swept_at
    where expected.list_name in ('customers', 'points_events', 'points_redemptions', 'referrals')
    group by expected.list_name, expected.expected
),
suspects as (
    select 'points_events' as list_name, customer_id, null::bigint as redemption_id, diff
    from reports.rpt_ledger_reconciliation
    where not is_reconciled
    union all
    select 'points_events', redemptions.customer_id, redemptions.redemption_id, null
    from marts.fct_redemption as redemptions
    anti join intermediate.int_ledger_entries as entries on entries.redemption_id = redemptions.redemption_id
    where redemptions.points_spent > 0 or redemptions.credits_spent > 0
    union all
    select 'points_redemptions', entries.customer_id, entries.redemption_id, null
    from intermediate.int_ledger_entries as entries
    anti join marts.fct_redemption as redemptions on redemptions.redemption_id = entries.redemption_id
    where entries.redemption_id is not null
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

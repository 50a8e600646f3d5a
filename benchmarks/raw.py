"""Generates the raw tables of a shop after years of daily syncs, with any number of ledger entries, in seconds.

Unlike the sandbox, it does not simulate customers: the rows are only many and of the right shape. Values depend on
the row number alone, so that two warehouses of the same size are equal.
"""

from __future__ import annotations

import duckdb

from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.warehouse.raw_tables import ensure_tables, write_settings

_LAST = "timestamptz '2026-10-05 06:00:00+00'"
_DAYS_BEFORE = 335
"""Days of events before the first sync."""

_STATEMENTS = (
    """
    insert into rivo_raw.sync_log by name
    select list, observed_at, row_number() over (order by observed_at) as log_position, 'full' as kind,
        true as complete, 1 as requests, 0 as rows_read, 0 as rows_new,
        0 as rows_changed, 0 as rows_deleted, 0 as rows_quarantined, 1.0 as seconds
    from (select unnest({lists}) as list)
    cross join (select {last} - to_days(range::int) as observed_at from range({syncs}))
    order by log_position
    """,
    """
    insert into rivo_raw.vip_tiers by name
    select 552270 + range as id, ['Bronze', 'Silver', 'Gold', 'Platinum'][range + 1] as name,
        [200, 500, 1500, 4000][range + 1] as threshold, {first} as _first_seen_at, {last} as _last_seen_at
    from range(4)
    """,
    """
    insert into rivo_raw.vip_tiers_history by name
    select id, name, threshold, md5(name) as _row_version, {first} as valid_from from rivo_raw.vip_tiers
    """,
    """
    insert into rivo_raw.rewards by name
    select 594131 + range as id, '$5 off' as name, true as enabled, 500 as points_amount, 'fixed' as points_type,
        'fixed_amount' as reward_type, 5 as reward_value, 3 as expiry_months, {first} as _first_seen_at,
        {last} as _last_seen_at
    from range(10)
    """,
    """
    insert into rivo_raw.earning_rules by name
    select 628340 as id, 'Place an order' as name, {first} as _first_seen_at, {last} as _last_seen_at
    """,
    """
    insert into rivo_raw.points_redemptions by name
    select 24186851 + range as id, 'REDEEM-' || range as code, '$5 off coupon' as name, 500 as points_amount,
        -500 as points_diff, 0 as credits_amount, moment as applied_at, moment + interval 90 days as expires_at,
        if(range % 2 = 0, least(moment + interval 5 days, {last}), null) as used_at, 'points' as source,
        594131 + range % 10 as reward_id, 'one_time' as purchase_type,
        7198630248648 + hash(range) % {customers} as customer_id,
        {first} as _first_seen_at, {last} as _last_seen_at
    from (select range, {last} - to_seconds(({days} * 86400.0 * range / {redemptions})::bigint) as moment
        from range({redemptions}))
    """,
    """
    insert into rivo_raw.points_events by name
    select
        4294500014 + range as id, abs(points) as points_amount, points as points_diff, 0 as credits_amount,
        moment as applied_at, moment as approved_at,
        if(range % 40 = 1, least(moment + interval 3 days, {last}), null) as revoked_at,
        case range % 8 when 0 then 'points_purchase' when 1 then 'review_complete' when 2 then 'vip_tier_upgrade'
            when 3 then 'referral_complete' else 'order_placed' end as source,
        if(range % 8 > 3, range::varchar, null) as order_id, 628340 as earning_rule_id,
        if(range % 8 = 0, 24186851 + range // 8, null) as points_purchases_id, 'Order placed' as title,
        7198630248648 + hash(if(range % 8 = 0, range // 8, range)) % {customers} as customer_id,
        {first} as _first_seen_at, {last} as _last_seen_at
    from (select range, if(range % 8 = 0, -500, 10 + range % 300) as points,
        {last} - to_seconds(({days} * 86400.0 * range / {events})::bigint) as moment from range({events}))
    """,
    """
    insert into rivo_raw.customers by name
    select 7198630248648 + range as id, 'c' || range || '@example.com' as email, range % 9 as orders_count,
        100 + range % 900 as total_spent, if(range % 5 = 0, 'guest', 'member') as loyalty_status,
        {last} - to_days((range % {days})::int) as loyalty_status_last_changed_at,
        coalesce(balances.points, 0) as points_tally, 0 as credits_tally,
        if(range % 5 = 0 or range % 3 = 0, null, 552270 + range % 4) as vip_tier_id,
        {first} as _first_seen_at, {last} as _last_seen_at
    from range({customers})
    left join (
        select customer_id, sum(points_diff) as points from rivo_raw.points_events
        where revoked_at is null group by customer_id
    ) as balances on balances.customer_id = 7198630248648 + range
    """,
    # A version of a customer for each sync that found another balance. The tier has changed once.
    """
    insert into rivo_raw.customers_history by name
    with syncs as (
        select id, {first} as observed_at from rivo_raw.customers
        union
        select customer_id, {last} - to_days(({last}::date - applied_at::date)::int - 1)
        from rivo_raw.points_events where applied_at >= {first} and applied_at < {last} - interval 1 day
    )
    select id, vip_tier_id - if(
            coalesce(vip_tier_id > 552270 and valid_to < {last} - to_days((id % {syncs})::int), false), 1, 0
        ) as vip_tier_id, loyalty_status,
        if(valid_to is null, points_tally, version) as points_tally, credits_tally, orders_count, total_spent,
        md5(id || '-' || version) as _row_version, observed_at as valid_from, valid_to
    from (
        select customers.*, observed_at, row_number() over in_order as version,
            lead(observed_at) over in_order as valid_to
        from syncs inner join rivo_raw.customers as customers using (id)
        window in_order as (partition by id order by observed_at)
    )
    """,
)


def fill(connection: duckdb.DuckDBPyConnection, entries: int, years: int = 1) -> None:
    """Fill the raw tables of a shop with about `entries` ledger entries and a customer for every twenty entries.

    The entries are spread over `years` of daily syncs and the eleven months before the first.
    """
    ensure_tables(connection)
    write_settings(connection, "America/New_York")
    # One event in forty is revoked, which adds a second entry.
    events = entries * 40 // 41
    syncs = 365 * years
    for statement in _STATEMENTS:
        connection.execute(
            statement.format(
                lists=list(ENDPOINTS),
                last=_LAST,
                first=f"({_LAST} - to_days({syncs - 1}))",
                syncs=syncs,
                days=syncs + _DAYS_BEFORE,
                customers=entries // 20,
                events=events,
                redemptions=(events + 7) // 8,
            )
        )

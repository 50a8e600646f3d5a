with entries as (
    select
        event_id,
        customer_id,
        unit,
        entry_class,
        amount,
        if(amount > 0, 'added', 'taken') as direction,
        entry_at,
        entry_date,
        tier_id_at_entry,
        is_revoked,
        is_counted
    from intermediate.int_ledger_entries
    where source = 'manual' and leg = 'original' and amount <> 0
),

-- The nearest rank: an amount of the shop, so that fewer than a hundred adjustments have no outlier by size.
percentiles as (
    select
        unit,
        direction,
        percentile_disc(0.99) within group (order by abs(amount)) as p99_amount
    from entries
    group by unit, direction
),

-- An event that moved points and credits is one adjustment of the customer.
events as (
    select distinct event_id, customer_id, entry_at, entry_date
    from entries
    where customer_id is not null
),

repeated as (
    select
        event_id,
        date_diff('day', lag(entry_date, 2) over (partition by customer_id order by entry_at, event_id), entry_date) < 90
            as is_repeated
    from events
),

notes as (
    select event_id, external_note, title, agent_key
    from staging.stg_rivo__points_events
    where source = 'manual'
),

judged as (
    select
        entries.*,
        percentiles.p99_amount,
        abs(entries.amount) > percentiles.p99_amount as is_large,
        coalesce(repeated.is_repeated, false) as is_repeated
    from entries
    inner join percentiles on percentiles.unit = entries.unit and percentiles.direction = entries.direction
    left join repeated on repeated.event_id = entries.event_id
),

final as (
    select
        judged.event_id,
        judged.entry_at as adjusted_at,
        judged.entry_date as adjusted_date,
        judged.customer_id,
        judged.unit,
        judged.amount,
        judged.entry_class,
        coalesce(nullif(trim(notes.external_note), ''), notes.title) as reason,
        notes.agent_key,
        tiers.tier_name as tier,
        judged.p99_amount,
        judged.is_large,
        judged.is_repeated,
        judged.is_large or judged.is_repeated as is_outlier,
        judged.is_revoked,
        judged.is_counted
    from judged
    left join notes on notes.event_id = judged.event_id
    left join intermediate.int_tiers as tiers on tiers.tier_id = judged.tier_id_at_entry
)

select * from final
order by adjusted_at desc, event_id desc, unit

with source as (
    select * from rivo_raw.points_events
),

-- Of the events of one redemption that was paid in credits, the first one spends them, and later ones return them.
credit_purchases as (
    select
        id,
        row_number() over (
            partition by points_purchases_id
            order by coalesce(applied_at, occurred_at, approved_at, _first_seen_at), id
        ) as number_in_redemption
    from rivo_raw.points_events
    where source = 'points_purchase'
        and points_purchases_id is not null
        and credits_diff is null
        and credits_amount <> 0
        and _deleted_at is null
),

final as (
    select
        source.id as event_id,
        customer_id,
        points_diff,
        points_amount,
        -- Without credits_diff, the source determines the sign: amounts spent on a reward reduce the balance.
        coalesce(
            credits_diff,
            case
                when credit_purchases.number_in_redemption > 1 then abs(credits_amount)
                when source.source = 'points_purchase' then -abs(credits_amount)
                else credits_amount
            end,
            0
        ) as credits_diff,
        credits_diff is null and source.source = 'points_purchase' and credits_amount <> 0 as is_credit_sign_assumed,
        source.source,
        title,
        -- An event without a time of its own counts from the first sync that saw it.
        coalesce(applied_at, occurred_at, approved_at, _first_seen_at) as entry_at,
        applied_at,
        occurred_at,
        approved_at,
        coalesce(per_event_expiration_at, expires_at) as expires_at,
        revoked_at,
        coalesce(hidden, false) as is_hidden,
        order_id,
        earning_rule_id,
        points_purchases_id as redemption_id,
        sourceable_id,
        custom_action_name,
        external_note,
        -- The only trace of internal_note outside rivo_raw: a token instead of the address of staff.
        'agent-' || left(md5(lower(nullif(regexp_extract(internal_note, '[\w.%+-]+@[\w.-]*\w'), ''))), 8) as agent_key,
        _first_seen_at as first_seen_at,
        _last_seen_at as last_seen_at,
        _deleted_at as deleted_at,
        _deleted_at is not null as is_deleted
    from source
    left join credit_purchases on credit_purchases.id = source.id
)

select * from final

with clock as (
    select * from intermediate.int_clock
),

actions as (
    select
        *,
        case kind
            when 'add_points' then rivo_id
        end as event_id,
        case when kind in ('redeem_reward', 'refund_redemption') then rivo_id end as redemption_id,
        case kind
            when 'create_referral' then rivo_id
        end as referral_id
    from staging.stg_rivo__actions
    where sent_at is not null
),

events as (
    select * from staging.stg_rivo__points_events
),

redemptions as (
    select * from marts.fct_redemption
),

referrals as (
    select * from marts.fct_referral
),

-- Points that were earned by a purchase, by an action of the member or by a referral, and points that were spent.
activity as (
    select ledger.customer_id, ledger.entry_at, ledger.entry_class
    from marts.fct_points_ledger as ledger
    left join actions as made on made.event_id = ledger.event_id
    left join actions as redeemed
        on redeemed.redemption_id = ledger.redemption_id
        and redeemed.kind = 'redeem_reward'
    where ledger.leg = 'original'
        and ledger.entry_class in ('issue_purchase', 'issue_action', 'issue_referral', 'redeem')
        -- What actions wrote is not a sign that the member came back.
        and made.action_id is null
        and redeemed.action_id is null
),

afterwards as (
    select
        actions.action_id,
        min(activity.entry_at) filter (where activity.entry_class = 'redeem') as next_redemption_at,
        min(activity.entry_at) filter (where activity.entry_class = 'issue_purchase') as next_purchase_at,
        min(activity.entry_at) as next_activity_at
    from actions
    inner join activity
        on activity.customer_id = actions.customer_id
        and activity.entry_at > actions.sent_at
    where actions.kind in ('add_points', 'set_vip_tier', 'update_customer', 'refund_redemption')
    group by actions.action_id
),

tier_stays as (
    select actions.action_id, min(spells.entered_at) as tier_seen_at
    from actions
    inner join intermediate.int_tier_spells as spells
        on spells.customer_id = actions.customer_id
        and spells.tier_id = actions.vip_tier_id
        and (spells.exited_at is null or spells.exited_at > actions.sent_at)
    group by actions.action_id
),

final as (
    select
        actions.action_id,
        actions.action_name,
        actions.kind,
        actions.state,
        coalesce(actions.customer_id, redemptions.customer_id, referrals.advocate_customer_id) as customer_id,
        actions.sent_at,
        (actions.sent_at at time zone clock.timezone)::date as sent_date,
        actions.points_amount,
        actions.credits_amount,
        actions.estimated_value,
        actions.reward_id,
        actions.vip_tier_id,
        actions.event_id,
        actions.redemption_id,
        actions.referral_id,
        actions.difference,
        -- Null until a sync after the action, and for changes that no list shows.
        case
            when actions.state <> 'done' or clock.observed_at <= actions.sent_at then null
            when actions.kind <> 'set_vip_tier' and actions.rivo_id is null then null
            when actions.kind = 'add_points' then events.event_id is not null
            when actions.kind = 'redeem_reward' then redemptions.redemption_id is not null
            when actions.kind = 'refund_redemption' then redemptions.refunded_at is not null
            when actions.kind = 'create_referral' then referrals.referral_id is not null
            when actions.kind = 'set_vip_tier' then tier_stays.tier_seen_at is not null
        end as was_seen,
        case actions.kind
            when 'add_points' then events.revoked_at
            when 'redeem_reward' then coalesce(redemptions.refunded_at, redemptions.revoked_at)
        end as reversed_at,
        case actions.kind
            when 'redeem_reward' then redemptions.used_at
            when 'create_referral' then referrals.completed_at
            else afterwards.next_redemption_at
        end as used_at,
        afterwards.next_purchase_at,
        afterwards.next_activity_at,
        date_diff(
            'day',
            (actions.sent_at at time zone clock.timezone)::date,
            (afterwards.next_activity_at at time zone clock.timezone)::date
        ) as days_to_activity
    from actions
    cross join clock
    left join events on events.event_id = actions.event_id and not events.is_deleted
    left join redemptions on redemptions.redemption_id = actions.redemption_id
    left join referrals on referrals.referral_id = actions.referral_id
    left join afterwards on afterwards.action_id = actions.action_id
    left join tier_stays on tier_stays.action_id = actions.action_id
)

select * from final

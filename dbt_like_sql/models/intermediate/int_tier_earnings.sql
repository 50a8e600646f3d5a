with originals as (
    select
        customer_id,
        event_id,
        amount,
        entry_date as counts_from,
        entry_date as earned_on,
        earn_basis is not distinct from 'manual' as is_manual
    from intermediate.int_ledger_entries
    where is_counted
        and customer_id is not null
        and unit = 'points'
        and leg = 'original'
        and entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'issue_tier', 'issue_manual', 'issue_reversal'
        )
),

-- Points of a revoked event leave a window of days together with the points that they cancel. Otherwise the revocation
-- would count against the member after the event itself has dropped out.
revocations as (
    select
        originals.customer_id,
        originals.event_id,
        -originals.amount as amount,
        greatest(revoked.entry_date, originals.entry_date) as counts_from,
        originals.entry_date as earned_on,
        originals.earn_basis is not distinct from 'manual' as is_manual
    from intermediate.int_ledger_entries as revoked
    inner join intermediate.int_ledger_entries as originals
        on originals.event_id = revoked.event_id
        and originals.unit = revoked.unit
    where revoked.leg = 'revocation'
        and revoked.is_counted
        and revoked.customer_id is not null
        and revoked.unit = 'points'
        and originals.leg = 'original'
        and originals.is_revoked
        and originals.entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'issue_tier', 'issue_manual', 'issue_reversal'
        )
),

-- An order that earned both points and credits has two entries, but is one order.
orders as (
    select distinct
        customer_id,
        event_id,
        entry_date as counts_from
    from intermediate.int_ledger_entries
    where is_counted
        and customer_id is not null
        and leg = 'original'
        and entry_class = 'issue_purchase'
),

final as (
    select
        'points' as kind,
        event_id,
        'original' as leg,
        customer_id,
        counts_from,
        earned_on,
        amount,
        is_manual
    from originals
    union all
    select
        'points' as kind,
        event_id,
        'revocation' as leg,
        customer_id,
        counts_from,
        earned_on,
        amount,
        is_manual
    from revocations
    union all
    select
        'orders' as kind,
        event_id,
        'original' as leg,
        customer_id,
        counts_from,
        counts_from as earned_on,
        1 as amount,
        false as is_manual
    from orders
)

select * from final

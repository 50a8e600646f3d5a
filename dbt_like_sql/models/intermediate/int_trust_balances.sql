with rules as (
    select * from intermediate.int_tally_rule
),

reconciliation_checks as (
    select
        'ledger_rule_' || unit as check_name,
        unit,
        members_reconciled as affected,
        members_compared as checked,
        members_reconciled / nullif(members_compared, 0) as share,
        tally_rule as answer,
        'ok' as status,
        'The ' || unit || ' ledger follows rule ' || tally_rule || ': ' || case tally_rule
            when 'a' then 'all entries count, including revoked ones.'
            when 'b' then 'all entries count except revoked ones.'
            when 'c' then 'all entries count except revoked and hidden ones.'
            else 'all entries count except revoked, hidden, unapproved and future ones.'
        end as finding
    from rules
    union all
    select
        'members_reconciled_' || unit as check_name,
        unit,
        members_reconciled as affected,
        members_compared as checked,
        members_reconciled / nullif(members_compared, 0) as share,
        null as answer,
        if(members_reconciled < 0.99 * members_compared, 'attention', 'ok') as status,
        'The ledger equals Rivo''s ' || unit || ' balance for ' || format('{:,}', members_reconciled) || ' of '
        || format('{:,}', members_compared) || ' members.' || if(
            members_reconciled < members_compared,
            ' See rpt_ledger_reconciliation for the others.',
            ''
        ) as finding
    from rules
    union all
    select
        'balance_reconciled_' || unit as check_name,
        unit,
        amount_reconciled as affected,
        amount_compared as checked,
        amount_reconciled / nullif(amount_compared, 0) as share,
        null as answer,
        if(amount_reconciled < 0.99 * amount_compared, 'attention', 'ok') as status,
        'Members whose ledger equals Rivo''s balance hold ' || format('{:,}', amount_reconciled::bigint) || ' of the '
        || format('{:,}', amount_compared::bigint) || ' ' || unit || ' of all members'
        || if(has_negative, ', negative balances counted as positive.', '.') as finding
    from rules
),

assumed as (
    select
        events.event_id,
        signs.is_changed,
        signs.is_doubtful,
        row_number() over (order by signs.is_doubtful desc nulls last, events.event_id) as position
    from staging.stg_rivo__points_events as events
    left join intermediate.int_credit_signs as signs on signs.event_id = events.event_id
    where events.is_credit_sign_assumed
        and not events.is_deleted
),

assumed_signs as (
    select
        count(*) as events,
        count(*) filter (where is_changed) as changed,
        count(*) filter (where is_doubtful) as doubtful,
        string_agg(event_id::varchar, ', ' order by position) filter (where is_doubtful and position <= 10)
        || if(count(*) filter (where is_doubtful) > 10, ' and others', '') as event_ids
    from assumed
),

sign_checks as (
    select
        'credit_signs' as check_name,
        'credits' as unit,
        doubtful as affected,
        events as checked,
        doubtful / nullif(events, 0) as share,
        event_ids as answer,
        if(doubtful > 0, 'attention', 'ok') as status,
        case
            when doubtful > 0 then
                'Of ' || format('{:,}', events) || ' store-credit events that Rivo sent without a sign, '
                || format('{:,}', doubtful) || ' may have the wrong one: the events of their customers do not add up to credits_tally. Compare with '
                || 'Rivo: events ' || event_ids || '.'
            when changed > 0 then
                'Of ' || format('{:,}', events) || ' store-credit events that Rivo sent without a sign, the sign of '
                || format('{:,}', changed) || ' was corrected, so that the customer''s events add up to credits_tally.'
            else 'No credits_tally contradicts the sign of a store-credit event.'
        end as finding
    from assumed_signs
),

checks as (
    select check_name, unit, affected, checked, share, answer, status, finding from reconciliation_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from sign_checks
),

final as (
    select
        check_name,
        unit::varchar as unit,
        status,
        answer::varchar as answer,
        affected::bigint as affected,
        checked::bigint as checked,
        share::double as share,
        finding
    from checks
)

select * from final

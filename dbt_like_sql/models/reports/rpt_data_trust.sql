with clock as (
    select * from intermediate.int_clock
),

-- Ledger and Rivo's balance (the tally), members only.
reconciled as (
    select
        rules.unit,
        rules.tally_rule,
        rules.members_compared,
        rules.members_reconciled,
        coalesce(sum(abs(members.tally)) filter (where members.is_reconciled), 0) as amount_reconciled,
        coalesce(sum(abs(members.tally)), 0) as amount_compared
    from intermediate.int_tally_rule as rules
    left join reports.rpt_ledger_reconciliation as members
        on members.unit = rules.unit
        and members.is_member
        and members.tally is not null
    group by all
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
    from reconciled
    union all
    select
        'members_reconciled_' || unit as check_name,
        unit,
        members_reconciled as affected,
        members_compared as checked,
        members_reconciled / nullif(members_compared, 0) as share,
        null as answer,
        if(members_reconciled < 0.99 * members_compared, 'attention', 'ok') as status,
        'The ledger equals Rivo''s ' || unit || ' balance for ' || members_reconciled || ' of ' || members_compared
        || ' members.' || if(
            members_reconciled < members_compared,
            ' See rpt_ledger_reconciliation for the others.',
            ''
        ) as finding
    from reconciled
    union all
    select
        'balance_reconciled_' || unit as check_name,
        unit,
        amount_reconciled as affected,
        amount_compared as checked,
        amount_reconciled / nullif(amount_compared, 0) as share,
        null as answer,
        if(amount_reconciled < 0.99 * amount_compared, 'attention', 'ok') as status,
        'The members whose ledger equals Rivo''s balance hold ' || amount_reconciled::bigint || ' of '
        || amount_compared::bigint || ' ' || unit || '.' as finding
    from reconciled
),

entries as (
    select
        count(*) as entries,
        count(*) filter (where entry_class = 'unclassified') as unclassified,
        string_agg(distinct coalesce(source, '(none)'), ', ' order by coalesce(source, '(none)')) filter (
            where entry_class = 'unclassified'
        ) as sources,
        count(*) filter (where not is_counted) as not_counted,
        count(*) filter (where customer_id is null) as without_customer,
        count(*) filter (where entry_at > clock.observed_at) as in_the_future
    from intermediate.int_ledger_entries
    cross join clock
),

entry_checks as (
    select
        'unclassified_sources' as check_name,
        null as unit,
        unclassified as affected,
        entries as checked,
        unclassified / nullif(entries, 0) as share,
        sources as answer,
        if(unclassified > 0, 'attention', 'ok') as status,
        if(
            unclassified > 0,
            'Ledger entries whose source no rule matches: ' || unclassified || ' (' || sources
            || '). Add these sources to the seed entry_class_rules.',
            'A rule matches every source of the ledger.'
        ) as finding
    from entries
    union all
    select
        'entries_not_counted' as check_name,
        null as unit,
        not_counted as affected,
        entries as checked,
        not_counted / nullif(entries, 0) as share,
        null as answer,
        if(not_counted > 0.5 * entries, 'attention', 'ok') as status,
        'Ledger entries in no balance and no report, because Rivo''s balances exclude them too: ' || not_counted || '.'
        || if(
            not_counted > 0.5 * entries,
            ' That is most of the ledger: compare some members with Rivo before you use the reports on points.',
            ''
        ) as finding
    from entries
    union all
    select
        'entries_without_customer' as check_name,
        null as unit,
        without_customer as affected,
        entries as checked,
        without_customer / nullif(entries, 0) as share,
        null as answer,
        if(without_customer > 0, 'attention', 'ok') as status,
        'Ledger entries without a customer: ' || without_customer || if(
            without_customer > 0,
            '. They are in no member''s balance. See them in intermediate.int_ledger_entries, customer_id is null.',
            '.'
        ) as finding
    from entries
    union all
    select
        'entries_in_the_future' as check_name,
        null as unit,
        in_the_future as affected,
        entries as checked,
        in_the_future / nullif(entries, 0) as share,
        null as answer,
        if(in_the_future > 0, 'note', 'ok') as status,
        'Ledger entries dated after the last sync: ' || in_the_future || '.' as finding
    from entries
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
                'Of ' || events || ' store-credit events that Rivo sent without a sign, ' || doubtful
                || ' may have the wrong one: the events of their customers do not add up to credits_tally. Compare with '
                || 'Rivo: events ' || event_ids || '.'
            when changed > 0 then
                'Of ' || events || ' store-credit events that Rivo sent without a sign, the sign of ' || changed
                || ' was corrected, so that the customer''s events add up to credits_tally.'
            else 'No credits_tally contradicts the sign of a store-credit event.'
        end as finding
    from assumed_signs
),

-- Free rewards have no ledger entry, so only paid ones are checked.
paid as (
    select redemption_id from marts.fct_redemption
    where points_spent > 0 or credits_spent > 0
),

linked as (
    select distinct redemption_id from intermediate.int_ledger_entries
    where redemption_id is not null
),

link_checks as (
    select
        'redemptions_without_entry' as check_name,
        null as unit,
        count(*) filter (where linked.redemption_id is null) as affected,
        count(*) as checked,
        count(*) filter (where linked.redemption_id is null) / nullif(count(*), 0) as share,
        null as answer,
        if(count(*) filter (where linked.redemption_id is null) > 0, 'attention', 'ok') as status,
        'Paid redemptions without a ledger entry: ' || count(*) filter (where linked.redemption_id is null) || ' of '
        || count(*) || '.' as finding
    from paid
    left join linked on linked.redemption_id = paid.redemption_id
    union all
    select
        'entries_without_redemption' as check_name,
        null as unit,
        count(*) filter (where redemptions.redemption_id is null) as affected,
        count(*) as checked,
        count(*) filter (where redemptions.redemption_id is null) / nullif(count(*), 0) as share,
        null as answer,
        if(count(*) filter (where redemptions.redemption_id is null) > 0, 'attention', 'ok') as status,
        'Ledger entries of redemptions that are not known: ' || count(*) filter (where redemptions.redemption_id is null)
        || ' of ' || count(*) || '.' as finding
    from intermediate.int_ledger_entries as entries
    left join marts.fct_redemption as redemptions on redemptions.redemption_id = entries.redemption_id
    where entries.leg = 'original' and entries.entry_class in ('redeem', 'redeem_return')
),

date_checks as (
    select
        'unparseable_dates' as check_name,
        null as unit,
        count(*) filter (where points_expire_on is null) as affected,
        count(*) as checked,
        count(*) filter (where points_expire_on is null) / nullif(count(*), 0) as share,
        min(points_expire_text) filter (where points_expire_on is null) as answer,
        if(count(*) filter (where points_expire_on is null) > 0, 'attention', 'ok') as status,
        'Expiry dates of customers that could not be parsed: ' || count(*) filter (where points_expire_on is null)
        || ' of ' || count(*) || coalesce(
            ', for example ' || min(points_expire_text) filter (where points_expire_on is null), ''
        ) || '.' as finding
    from staging.stg_rivo__customers
    where points_expire_text is not null
),

calendar as (
    select unnest(generate_series(history_start_date, local_date, interval 1 day))::date as local_day
    from clock
    where history_start_date is not null
),

observed_days as (
    select distinct timezone(clock.timezone, syncs.observed_at)::date as local_day
    from staging.stg_rivo__sync_log as syncs
    cross join clock
    where syncs.list_name = 'customers' and syncs.is_complete
),

sync_checks as (
    select
        'days_without_sync' as check_name,
        null as unit,
        count(*) filter (where observed_days.local_day is null) as affected,
        count(*) as checked,
        count(*) filter (where observed_days.local_day is null) / nullif(count(*), 0) as share,
        max(calendar.local_day) filter (where observed_days.local_day is null)::varchar as answer,
        if(count(*) filter (where observed_days.local_day is null) > 0, 'note', 'ok') as status,
        'Days since the first sync without a complete read of the customers: '
        || count(*) filter (where observed_days.local_day is null) || ' of ' || count(*) || coalesce(
            ', most recently ' || max(calendar.local_day) filter (where observed_days.local_day is null), ''
        ) || '. Tier moves on those days appear at the next sync.' as finding
    from calendar
    left join observed_days on observed_days.local_day = calendar.local_day
),

last_reads as (
    select
        list_name,
        arg_max(is_complete, log_position) as is_complete
    from staging.stg_rivo__sync_log
    group by list_name
),

list_checks as (
    select
        'lists_failed' as check_name,
        null as unit,
        count(*) filter (where not is_complete) as affected,
        count(*) as checked,
        count(*) filter (where not is_complete) / nullif(count(*), 0) as share,
        string_agg(list_name, ', ' order by list_name) filter (where not is_complete) as answer,
        if(count(*) filter (where not is_complete) > 0, 'attention', 'ok') as status,
        if(
            count(*) filter (where not is_complete) > 0,
            'The last read of these lists failed, so their data is older: '
            || string_agg(list_name, ', ' order by list_name) filter (where not is_complete)
            || '. See the column error in rivo_raw.sync_log.',
            'The last read of every list is complete.'
        ) as finding
    from last_reads
),

-- Every read requests the quarantined rows again, so the last read counts all of them.
quarantined as (
    select
        list_name,
        arg_max(rows_quarantined, log_position) as quarantined,
        -- Of two reads within one second, use the larger one, so that an immediate second sync changes no number.
        arg_max(rows_read, (observed_at, rows_read)) as rows_read
    from staging.stg_rivo__sync_log
    where is_complete
    group by list_name
),

quarantine_checks as (
    select
        'quarantined_rows' as check_name,
        null as unit,
        coalesce(sum(quarantined), 0)::bigint as affected,
        coalesce(sum(rows_read), 0)::bigint as checked,
        sum(quarantined) / nullif(sum(rows_read), 0) as share,
        string_agg(list_name, ', ' order by list_name) filter (where quarantined > 0) as answer,
        if(sum(quarantined) > 0, 'attention', 'ok') as status,
        if(
            sum(quarantined) > 0,
            'Quarantined rows, which are in no model: ' || sum(quarantined)::bigint || ' ('
            || string_agg(list_name, ', ' order by list_name) filter (where quarantined > 0)
            || '). See the column reason in rivo_raw._quarantine.',
            'Every row that Rivo sent was loaded.'
        ) as finding
    from quarantined
),

tier_checks as (
    select
        'tiers_not_listed' as check_name,
        null as unit,
        count(*) filter (where tier_rank is null) as affected,
        count(*) as checked,
        count(*) filter (where tier_rank is null) / nullif(count(*), 0) as share,
        string_agg(tier_id::varchar, ', ' order by tier_id) filter (where tier_rank is null) as answer,
        if(count(*) filter (where tier_rank is null) > 0, 'attention', 'ok') as status,
        'Tiers that customers held and that are not in Rivo''s list of tiers: '
        || count(*) filter (where tier_rank is null) || ' of ' || count(*) || '.' as finding
    from intermediate.int_tiers
),

progress_checks as (
    select
        'near_next_tier' as check_name,
        null as unit,
        members_agreeing as affected,
        members as checked,
        share_agreeing as share,
        measure as answer,
        if((is_shown and not is_ambiguous) or members = 0, 'ok', 'attention') as status,
        case
            when members = 0 then 'rpt_near_next_tier is empty: there are no members, no tiers or no allowed measure.'
            when is_shown then
                'Progress to the next tier is measured by ' || measure || ', which leads to the tier held for '
                || members_agreeing || ' of ' || members || ' members.'
                || if(
                    is_ambiguous,
                    ' A measure of another kind fits equally well: set tier_progress in the seed program_settings.',
                    ''
                )
            else
                'rpt_near_next_tier is empty: the best measure, ' || measure || ', leads to the tier held for only '
                || members_agreeing || ' of ' || members || ' members; at least 95 % are required.'
        end as finding
    from intermediate.int_tier_progress_measure
),

-- What webhooks announced about tiers in the seven days before the last read of the customers.
announced as (
    select
        count(*) filter (where deliveries.is_confirmed is not null) as judged,
        count(*) filter (where not deliveries.is_confirmed) as denied
    from intermediate.int_tier_deliveries as deliveries
    cross join clock
    where deliveries.observed_by > clock.customers_observed_at - interval 7 day
),

-- Tier changes since webhooks are in use, in the same days.
unannounced as (
    select
        count(*) as moves,
        count(*) filter (where moves.changed_at is null) as missed
    from marts.fct_tier_change as moves
    cross join clock
    where moves.changed_by > clock.customers_observed_at - interval 7 day
        and moves.to_tier_id is not null
        and moves.changed_after >= (select min(occurred_at) from intermediate.int_tier_deliveries)
),

webhook_checks as (
    select
        'webhook_tiers_denied' as check_name,
        null as unit,
        denied as affected,
        judged as checked,
        denied / nullif(judged, 0) as share,
        null as answer,
        if(denied > 0, 'attention', 'ok') as status,
        case
            when denied > 0 then
                'VIP tiers that webhooks announced in the seven days before the last sync, and that the customer did not '
                || 'hold at the next sync: ' || denied || ' of ' || judged || '. The models show what syncs found. See '
                || 'intermediate.int_tier_deliveries, not is_confirmed.'
            when judged > 0 then
                'Syncs confirm the VIP tiers that webhooks announced in the seven days before the last sync: ' || judged
                || '.'
            else 'Webhooks announced no VIP tier in the seven days before the last sync.'
        end as finding
    from announced
    union all
    select
        'webhook_tiers_missed' as check_name,
        null as unit,
        missed as affected,
        moves as checked,
        missed / nullif(moves, 0) as share,
        null as answer,
        if(missed > 0, 'note', 'ok') as status,
        case
            when missed > 0 then
                'VIP tier changes in the seven days before the last sync that no webhook announced: ' || missed || ' of '
                || moves || '. Syncs found them, and their changed_at is null.'
            when moves > 0 then 'Webhooks announced every VIP tier change that syncs found in the same days.'
            else 'There is no VIP tier change that webhooks should have announced.'
        end as finding
    from unannounced
),

checks as (
    select check_name, unit, affected, checked, share, answer, status, finding from reconciliation_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from entry_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from sign_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from link_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from date_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from sync_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from list_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from quarantine_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from tier_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from progress_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from webhook_checks
),

final as (
    select
        check_name,
        unit::varchar as unit,
        status,
        answer::varchar as answer,
        affected::decimal(18, 4) as affected,
        checked::decimal(18, 4) as checked,
        share::double as share,
        finding
    from checks
)

select * from final
order by status <> 'attention', status <> 'note', check_name

with clock as (
    select * from intermediate.int_clock
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
            'Ledger entries whose source no rule matches: ' || format('{:,}', unclassified) || ' (' || sources
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
        'Ledger entries in no balance and no report, because Rivo''s balances exclude them too: '
        || format('{:,}', not_counted) || '.'
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
        'Ledger entries without a customer: ' || format('{:,}', without_customer) || if(
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
        'Ledger entries dated after the last sync: ' || format('{:,}', in_the_future) || '.' as finding
    from entries
),

linked as (
    select distinct redemption_id from intermediate.int_ledger_entries
    where redemption_id is not null
),

-- Free rewards have no ledger entry, so only paid ones are checked.
paid as (
    select
        count(*) as redemptions,
        count(*) filter (where linked.redemption_id is null) as without_entry
    from intermediate.int_redemptions as redemptions
    left join linked on linked.redemption_id = redemptions.redemption_id
    where redemptions.points_spent > 0 or redemptions.credits_spent > 0
),

payments as (
    select
        count(*) as entries,
        count(*) filter (where redemptions.redemption_id is null) as without_redemption
    from intermediate.int_ledger_entries as entries
    left join intermediate.int_redemptions as redemptions on redemptions.redemption_id = entries.redemption_id
    where entries.leg = 'original' and entries.entry_class in ('redeem', 'redeem_return')
),

link_checks as (
    select
        'redemptions_without_entry' as check_name,
        null as unit,
        without_entry as affected,
        redemptions as checked,
        without_entry / nullif(redemptions, 0) as share,
        null as answer,
        if(without_entry > 0, 'attention', 'ok') as status,
        'Paid redemptions without a ledger entry: ' || format('{:,}', without_entry) || ' of '
        || format('{:,}', redemptions) || '.' as finding
    from paid
    union all
    select
        'entries_without_redemption' as check_name,
        null as unit,
        without_redemption as affected,
        entries as checked,
        without_redemption / nullif(entries, 0) as share,
        null as answer,
        if(without_redemption > 0, 'attention', 'ok') as status,
        'Ledger entries of redemptions that are not known: ' || format('{:,}', without_redemption) || ' of '
        || format('{:,}', entries) || '.' as finding
    from payments
),

checks as (
    select check_name, unit, affected, checked, share, answer, status, finding from entry_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from link_checks
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

with clock as (
    select * from intermediate.int_clock
),

tiers as (
    select
        count(*) as tiers,
        count(*) filter (where tier_rank is null) as unlisted,
        string_agg(tier_id::varchar, ', ' order by tier_id) filter (where tier_rank is null) as unlisted_ids
    from intermediate.int_tiers
),

tier_checks as (
    select
        'tiers_not_listed' as check_name,
        null as unit,
        unlisted as affected,
        tiers as checked,
        unlisted / nullif(tiers, 0) as share,
        unlisted_ids as answer,
        if(unlisted > 0, 'attention', 'ok') as status,
        'Tiers that customers held and that are not in Rivo''s list of tiers: ' || format('{:,}', unlisted) || ' of '
        || format('{:,}', tiers) || '.' as finding
    from tiers
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
                || format('{:,}', members_agreeing) || ' of ' || format('{:,}', members) || ' members.'
                || if(
                    is_ambiguous,
                    ' A measure of another kind fits equally well: set tier_progress in the seed program_settings.',
                    ''
                )
            else
                'rpt_near_next_tier is empty: the best measure, ' || measure || ', leads to the tier held for only '
                || format('{:,}', members_agreeing) || ' of ' || format('{:,}', members) || ' members; at least 95 % are required.'
        end as finding
    from intermediate.int_tier_progress_measure
),

inferred_months as (
    select
        count(*) as months,
        min(month) as first_month,
        max(month) as last_month
    from intermediate.int_inferred_months
),

inferred_checks as (
    select
        'inferred_migration' as check_name,
        null as unit,
        measure.members_agreeing as affected,
        measure.members as checked,
        measure.share_agreeing as share,
        measure.measure as answer,
        if(measure.members > 0 and not (measure.is_shown and measure.is_dated), 'note', 'ok') as status,
        case
            when measure.members = 0 then
                'rpt_tier_migration_inferred is empty: there are no members, no tiers or no allowed measure.'
            when not measure.is_shown then
                'rpt_tier_migration_inferred is empty: the best measure, ' || measure.measure || ', leads to the tier held '
                || 'for only ' || format('{:,}', measure.members_agreeing) || ' of ' || format('{:,}', measure.members)
                || ' members; at least 95 % are required.'
            when not measure.is_dated then
                'rpt_tier_migration_inferred is empty: tiers are earned by ' || measure.measure || ', a total of Shopify''s '
                || 'whose values before the first sync are not known.'
            when months.months = 0 then
                'rpt_tier_migration_inferred is empty: there is no whole month between the first ledger entry that counts '
                || 'towards a tier and the first sync.'
            else
                'rpt_tier_migration_inferred shows ' || months.months || ' months before the first sync, '
                || strftime(months.first_month, '%Y-%m') || ' to ' || strftime(months.last_month, '%Y-%m')
                || ', replayed by ' || measure.measure || ', which leads to the tier held now for '
                || format('{:,}', measure.members_agreeing) || ' of ' || format('{:,}', measure.members) || ' members.'
        end as finding
    from intermediate.int_tier_progress_measure as measure
    cross join inferred_months as months
),

-- Tiers that webhooks announced in the seven days before the last read of the customers.
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
        count(*) filter (where moves.announced_at is null) as missed
    from intermediate.int_tier_moves as moves
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
                || 'hold at the next sync: ' || format('{:,}', denied) || ' of ' || format('{:,}', judged)
                || '. The models show what syncs found. See ' || 'intermediate.int_tier_deliveries, not is_confirmed.'
            when judged > 0 then
                'Syncs confirm the VIP tiers that webhooks announced in the seven days before the last sync: '
                || format('{:,}', judged) || '.'
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
                'VIP tier changes in the seven days before the last sync that no webhook announced: ' || format('{:,}', missed) || ' of '
                || format('{:,}', moves) || '. Syncs found them, and their changed_at is null.'
            when moves > 0 then 'Webhooks announced every VIP tier change that syncs found in the same days.'
            else 'There is no VIP tier change that webhooks should have announced.'
        end as finding
    from unannounced
),

checks as (
    select check_name, unit, affected, checked, share, answer, status, finding from tier_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from progress_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from inferred_checks
    union all
    select check_name, unit, affected, checked, share, answer, status, finding from webhook_checks
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

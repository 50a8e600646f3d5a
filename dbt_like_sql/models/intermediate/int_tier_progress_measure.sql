with settings as (
    select value as tier_progress
    from seeds.program_settings
    where setting = 'tier_progress'
),

agreement as (
    select
        measure,
        split_part(measure, '_', 1) as kind,
        count(*) as members,
        count(*) filter (where agrees) as members_agreeing
    from intermediate.int_tier_progress
    group by measure
),

-- 'auto' allows every measure; 'points', 'spend' and 'orders' allow one kind; any other value names one measure.
allowed as (
    select
        agreement.*,
        rank() over (order by agreement.members_agreeing desc) as place
    from agreement
    cross join settings
    where settings.tier_progress in ('auto', agreement.kind, agreement.measure)
),

-- If several measures fit equally well, prefer points to spend and orders: most programmes have tiers by points.
chosen as (
    select
        arg_min(measure, (place, kind <> 'points', length(measure), measure)) as measure,
        max(members) as members,
        coalesce(max(members_agreeing), 0) as members_agreeing,
        count(distinct kind) filter (where place = 1) > 1 as is_ambiguous
    from allowed
),

final as (
    select
        measure,
        split_part(measure, '_', 1) as kind,
        case
            when measure like '%_365_days%' then '365_days'
            when measure like '%_this_year%' then 'this_year'
            when measure like '%_lifetime%' then 'lifetime'
        end as progress_window,
        measure like '%_and_manual' as counts_manual,
        -- Shopify's totals of money and orders have no dates.
        measure not in ('spend_lifetime', 'orders_lifetime') as is_dated,
        coalesce(members, 0) as members,
        members_agreeing,
        members_agreeing / nullif(members, 0) as share_agreeing,
        coalesce(members_agreeing >= 0.95 * members, false) as is_shown,
        is_ambiguous
    from chosen
)

select * from final

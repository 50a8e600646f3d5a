with settings as (
    select value as tier_progress
    from seeds.program_settings
    where setting = 'tier_progress'
),

agreement as (
    select
        measure,
        count(*) as members,
        count(*) filter (where agrees) as members_agreeing
    from intermediate.int_tier_progress
    group by measure
),

-- 'auto' tries every measure; 'points', 'spend' and 'orders' those of that kind; else the one that is named.
chosen as (
    select
        arg_max(agreement.measure, (agreement.members_agreeing, -length(agreement.measure), agreement.measure)) as measure,
        max(agreement.members) as members,
        coalesce(max(agreement.members_agreeing), 0) as members_agreeing
    from agreement
    cross join settings
    where settings.tier_progress = 'auto'
        or agreement.measure = settings.tier_progress
        or split_part(agreement.measure, '_', 1) = settings.tier_progress
),

final as (
    select
        measure,
        coalesce(members, 0) as members,
        members_agreeing,
        members_agreeing / nullif(members, 0) as share_agreeing,
        coalesce(members_agreeing >= 0.95 * members, false) as is_shown
    from chosen
)

select * from final

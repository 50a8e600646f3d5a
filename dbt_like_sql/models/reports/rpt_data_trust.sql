with checks as (
    select check_name, unit, status, answer, affected, checked, share, finding from intermediate.int_trust_balances
    union all
    select check_name, unit, status, answer, affected, checked, share, finding from intermediate.int_trust_entries
    union all
    select check_name, unit, status, answer, affected, checked, share, finding from intermediate.int_trust_syncs
    union all
    select check_name, unit, status, answer, affected, checked, share, finding from intermediate.int_trust_tiers
),

final as (
    select
        check_name,
        unit,
        status,
        answer,
        affected,
        checked,
        share,
        finding
    from checks
)

select * from final
order by status <> 'attention', status <> 'note', check_name

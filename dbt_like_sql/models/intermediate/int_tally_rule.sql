with units as (
    select unit from (values ('points'), ('credits')) as units (unit)
),

compared as (
    select
        unit,
        count(*) as members_compared,
        count(*) filter (where balance_a = tally) as members_a,
        count(*) filter (where balance_b = tally) as members_b,
        count(*) filter (where balance_c = tally) as members_c,
        count(*) filter (where balance_d = tally) as members_d,
        bool_or(tally < 0) as has_negative,
        sum(abs(tally)) as amount_compared,
        sum(abs(tally)) filter (where balance_a = tally) as amount_a,
        sum(abs(tally)) filter (where balance_b = tally) as amount_b,
        sum(abs(tally)) filter (where balance_c = tally) as amount_c,
        sum(abs(tally)) filter (where balance_d = tally) as amount_d
    from intermediate.int_ledger_balances
    where is_member and tally is not null
    group by unit
),

filled as (
    select
        units.unit,
        coalesce(compared.members_compared, 0) as members_compared,
        coalesce(compared.members_a, 0) as members_a,
        coalesce(compared.members_b, 0) as members_b,
        coalesce(compared.members_c, 0) as members_c,
        coalesce(compared.members_d, 0) as members_d,
        coalesce(compared.has_negative, false) as has_negative,
        compared.amount_compared,
        compared.amount_a,
        compared.amount_b,
        compared.amount_c,
        compared.amount_d
    from units
    left join compared on compared.unit = units.unit
),

-- The rule that most members' tallies agree with. If several agree equally often, prefer b, which needs no assumption,
-- then the simplest.
chosen as (
    select
        *,
        case
            when members_b >= greatest(members_a, members_c, members_d) then 'b'
            when members_c >= greatest(members_a, members_d) then 'c'
            when members_d >= members_a then 'd'
            else 'a'
        end as tally_rule
    from filled
),

final as (
    select
        unit,
        tally_rule,
        members_compared,
        members_a,
        members_b,
        members_c,
        members_d,
        greatest(members_a, members_b, members_c, members_d) as members_reconciled,
        has_negative,
        coalesce(amount_compared, 0) as amount_compared,
        coalesce(
            case tally_rule
                when 'a' then amount_a
                when 'b' then amount_b
                when 'c' then amount_c
                else amount_d
            end,
            0
        ) as amount_reconciled
    from chosen
)

select * from final

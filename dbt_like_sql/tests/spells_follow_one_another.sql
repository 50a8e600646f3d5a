-- A gap is an absent customer. An overlap, a second open spell or a spell that is split without a move is an error.
select customer_id, spell_number
from (
    select
        *,
        lag(spell_number) over by_customer as previous_number,
        lag(coalesce(exited_at, 'infinity'::timestamptz)) over by_customer as previous_exited_at,
        lag(state_kind) over by_customer as previous_kind,
        lag(tier_id) over by_customer as previous_tier_id
    from intermediate.int_tier_spells
    window by_customer as (partition by customer_id order by entered_at, spell_number)
)
where previous_number is not null
    and (
        previous_exited_at > entered_at
        or previous_number <> spell_number - 1
        or (
            previous_exited_at = entered_at
            and previous_kind = state_kind
            and previous_tier_id is not distinct from tier_id
        )
    )

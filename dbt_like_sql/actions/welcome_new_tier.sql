with clock as (
    select * from intermediate.int_clock
),

changes as (
    select * from marts.fct_tier_change
    -- A change of the tiers themselves moves many members at once, and is no achievement.
    where direction in ('enter', 'upgrade') and to_tier_id is not null and not is_structural
),

final as (
    select
        changes.customer_id,
        changes.to_tier_id as tier_id,
        200 as points_amount,
        'Welcome to ' || changes.to_state || '!' as external_note
    from changes
    cross join clock
    where changes.changed_by > clock.observed_at - interval 7 day
)

select * from final
order by customer_id

with final as (
    select
        spans.customer_id,
        spans.first_day,
        least(spans.last_day, clock.local_date) as last_day,
        spans.state,
        spans.tier_id,
        spans.points_balance,
        spans.credits_balance,
        spans.issued,
        spans.redeemed,
        spans.expired,
        spans.orders,
        spans.is_active_30d,
        spans.is_active_90d
    from intermediate.int_member_spans as spans
    cross join intermediate.int_clock as clock
    where spans.first_day <= clock.local_date
)

select * from final

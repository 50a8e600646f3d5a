with final as (
    select
        spans.customer_id,
        dates.date_day as local_day,
        spans.state,
        spans.tier_id,
        spans.points_balance,
        spans.credits_balance,
        spans.issued,
        spans.redeemed,
        spans.expired,
        spans.orders,
        spans.is_active_30d
    from marts.fct_member_span as spans
    inner join marts.dim_date as dates on dates.date_day between spans.first_day and spans.last_day
)

select * from final

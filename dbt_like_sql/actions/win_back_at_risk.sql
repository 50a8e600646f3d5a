with clock as (
    select * from intermediate.int_clock
),

members as (
    select * from reports.rpt_member_rfm
    where is_at_risk
),

final as (
    select
        members.customer_id,
        date_trunc('quarter', clock.local_date)::date as quarter,
        100 as points_amount,
        'We miss you: 100 points for you' as external_note,
        members.segment,
        members.days_since_order
    from members
    cross join clock
)

select * from final
order by days_since_order, customer_id

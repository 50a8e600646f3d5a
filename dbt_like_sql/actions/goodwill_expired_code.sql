with clock as (
    select * from intermediate.int_clock
),

redemptions as (
    select * from marts.fct_redemption
    where status = 'expired' and used_at is null and points_spent >= 2
),

final as (
    select
        redemptions.customer_id,
        redemptions.redemption_id,
        redemptions.points_spent // 2 as points_amount,
        'Your code ' || redemptions.code || ' expired: here is half of its points' as external_note
    from redemptions
    cross join clock
    where redemptions.expires_at > clock.observed_at - interval 30 day
)

select * from final
order by redemption_id

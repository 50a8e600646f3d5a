-- A customer has one row of fct_member_daily for a day, so a span begins after the one before it has ended.
with following as (
    select
        customer_id,
        first_day,
        lag(last_day) over by_customer as previous_last_day,
        lag(first_day) over by_customer as previous_first_day
    from intermediate.int_member_spans
    window by_customer as (partition by customer_id order by first_day)
)
select customer_id, first_day
from following
where previous_first_day is not null and coalesce(previous_last_day >= first_day, true)

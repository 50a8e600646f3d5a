-- A lot has one row for each as_of_date from its own day on.
with dates as (
    select distinct as_of_type, as_of_date from marts.fct_points_lot
),
counted as (
    select entry_date, count(*) as rows_found, count(distinct entry_id) filter (where as_of_type = 'now') as lots
    from marts.fct_points_lot
    group by entry_date
)
select counted.entry_date
from counted
inner join dates on dates.as_of_date >= counted.entry_date
group by counted.entry_date, counted.rows_found, counted.lots
having counted.rows_found <> counted.lots * count(*)

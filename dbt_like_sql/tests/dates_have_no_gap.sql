select max(date_day) as date_day
from marts.dim_date
having count(*) <> max(date_day) - min(date_day) + 1

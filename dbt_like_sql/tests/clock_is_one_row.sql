-- Without it every model would be empty, with two every number would be doubled.
select count(*) as clocks
from intermediate.int_clock
having count(*) <> 1

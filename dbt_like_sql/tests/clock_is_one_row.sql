-- Every model joins the clock: without its row all would be empty, with two rows all numbers would double.
select count(*) as clocks
from intermediate.int_clock
having count(*) <> 1

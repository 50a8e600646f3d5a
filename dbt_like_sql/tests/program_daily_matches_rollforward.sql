-- Compares the last day of each complete month with the closing of the roll-forward.
select daily.unit, daily.local_day
from reports.rpt_program_daily as daily
inner join reports.rpt_points_rollforward as months
    on months.unit = daily.unit
    and last_day(months.month) = daily.local_day
where months.is_complete
    and daily.outstanding <> months.closing

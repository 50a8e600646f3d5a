select check_name, finding
from reports.rpt_data_trust
where status = 'attention'

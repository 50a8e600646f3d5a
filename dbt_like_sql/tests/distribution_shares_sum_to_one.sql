select local_day
from reports.rpt_tier_distribution
group by local_day
having abs(sum(share) - 1) > 1e-9

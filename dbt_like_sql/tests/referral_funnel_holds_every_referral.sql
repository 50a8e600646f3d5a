select month
from (
    select month, created, claimed, completed from reports.rpt_referral_funnel
    union all
    select
        date_trunc('month', created_date)::date,
        -1,
        if(is_claimed, -1, 0),
        if(is_completed, -1, 0)
    from marts.fct_referral
    where not is_deleted and created_date is not null
)
group by month
having sum(created) <> 0 or sum(claimed) <> 0 or sum(completed) <> 0

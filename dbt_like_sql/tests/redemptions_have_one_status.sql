-- Every redemption that Rivo lists must be one row with one status, and there must be no others.
select coalesce(listed.redemption_id, facts.redemption_id) as redemption_id
from staging.stg_rivo__points_redemptions as listed
full outer join marts.fct_redemption as facts on facts.redemption_id = listed.redemption_id
group by coalesce(listed.redemption_id, facts.redemption_id)
having count(facts.status) <> 1 or count(listed.redemption_id) <> 1

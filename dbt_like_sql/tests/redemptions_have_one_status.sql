-- Every redemption that Rivo lists must be one row with one status. A deleted one may be left out, no other may be added.
select coalesce(known.redemption_id, facts.redemption_id) as redemption_id
from staging.stg_rivo__points_redemptions as known
full outer join marts.fct_redemption as facts on facts.redemption_id = known.redemption_id
where not coalesce(known.is_deleted, false) or facts.redemption_id is not null
group by coalesce(known.redemption_id, facts.redemption_id)
having count(facts.status) <> 1 or count(known.redemption_id) <> 1

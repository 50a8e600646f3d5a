-- The message of a test only shows columns named like ids, hence source_id.
select distinct source as source_id
from intermediate.int_ledger_entries
where entry_class = 'unclassified'

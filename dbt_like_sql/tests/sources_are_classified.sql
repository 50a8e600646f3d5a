-- The message of a test shows ids only; the id of a source is its name.
select distinct source as source_id
from intermediate.int_ledger_entries
where entry_class = 'unclassified'

"""dlt: from Rivo into the warehouse. Knows nothing of Dagster or of the SQL models."""

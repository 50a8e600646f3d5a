"""Dagster: the assets, checks, job and schedule around `pipelines` and `dbt_like_sql`."""

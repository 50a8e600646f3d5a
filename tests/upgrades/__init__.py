"""Warehouses of older releases: today's code opens them or reports what is wrong, and keeps their histories.

`first_release.duckdb.xz` was written by the first release: four weekly syncs of a store of 25 customers.
`lists_a_week_later.json.xz` is what that store answered the week after.
"""

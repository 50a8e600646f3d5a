"""What the tests share: a served sandbox store with its warehouse and its clock, comparisons, and a stub HTTP server.

`Store` is the one way to set up "a store and a warehouse". Fixtures in the conftest.py files hand out stores;
`store.sync(...)`, `store.start(...)`, `store.rivo(...)` and `DagsterStore.run_job(...)` are the ways to sync one.
"""

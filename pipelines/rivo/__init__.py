"""Client for Rivo's API and a dlt source built on it. Independent of the warehouse, so other projects can use it."""

"""Client for Rivo's API and a dlt source built on it. Does not depend on the warehouse, so other projects can use it."""

"""Rivo's API and a dlt source of it. Knows no warehouse: another project could import it."""

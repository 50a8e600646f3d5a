"""The dlt source for Rivo's Merchant REST API."""

"""Rivo's webhooks: verifies deliveries, keeps each once in a journal, and loads them into `rivo_raw`."""

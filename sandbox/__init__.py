"""A Rivo-compatible store on localhost, for tests and the demo. Imports nothing of the product."""

"""All code that uses Dagster's storage or its private names.

`tests/assets/instance/test_private_names.py` lists the private names, and what breaks if Dagster changes one.
"""

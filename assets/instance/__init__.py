"""All that touches Dagster's storage or its private modules; `tests/assets/instance` names what breaks without each."""

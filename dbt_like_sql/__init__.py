"""Derived models in plain SQL, laid out like a dbt project. `dbt_like_sql.runner` loads, builds and tests them."""

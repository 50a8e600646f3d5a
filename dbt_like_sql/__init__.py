"""The derived models as plain SQL, laid out like a dbt project; `dbt_like_sql.runner` reads and builds them."""

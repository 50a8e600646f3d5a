"""The synthetic shop of the benchmarks."""

from __future__ import annotations

import duckdb

from benchmarks.models import WAYS
from benchmarks.raw import fill
from dbt_like_sql.runner import load_project


def test_synthetic_shop_passes_every_check() -> None:
    with duckdb.connect() as connection:
        connection.execute("set global TimeZone = 'UTC'")
        fill(connection, 2_000)
        WAYS["tested"](load_project(), connection)

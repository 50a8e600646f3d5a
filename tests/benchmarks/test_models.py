"""The synthetic shop of the benchmarks."""

from __future__ import annotations

import duckdb
import pytest

from benchmarks.models import WAYS
from benchmarks.raw import fill
from dbt_like_sql.runner import build, load_project


@pytest.mark.parametrize("way", WAYS)
def test_synthetic_shop_is_built_in_every_way(way: str) -> None:
    project = load_project()
    with duckdb.connect() as connection:
        connection.execute("set global TimeZone = 'UTC'")
        fill(connection, 2_000)
        list(build(connection, project, [seed.name for seed in project.seeds]))
        WAYS[way](project, connection)
        found = connection.execute("select count(*) from intermediate.int_ledger_entries").fetchall()
    assert found == [(2_000,)]

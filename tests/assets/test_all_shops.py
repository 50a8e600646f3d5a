"""The file of all shops in Dagster: begun by hand, then written again after a shop was published."""

from __future__ import annotations

import os
import time

import dagster as dg
import duckdb

from assets.all_shops import KEY, all_shops_file, follow_shops
from pipelines.warehouse import Warehouse
from tests.harness.dagster_shops import SHOPS, Shops


def tick(shops: Shops) -> dg.RunRequest | dg.SkipReason:
    found = follow_shops(dg.build_sensor_context(instance=shops.instance))
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return found


def test_file_of_all_shops_follows_the_shops_once_it_is_there(shops: Shops) -> None:
    united = Warehouse(shops.folder / "all_shops.duckdb")
    skipped = tick(shops)
    assert isinstance(skipped, dg.SkipReason)
    assert "Materialize published/all_shops" in str(skipped.skip_message)

    result = shops.defs.resolve_job_def("write_all_shops").execute_in_process(instance=shops.instance)

    assert result.success
    with duckdb.connect(str(united.path), read_only=True) as connection:
        found = connection.execute("select distinct shop from marts.dim_member order by 1").fetchall()
    assert [shop for (shop,) in found] == list(SHOPS)
    assert isinstance(tick(shops), dg.SkipReason)

    later = time.time() + 60
    os.utime(shops.warehouse("fr").path, (later, later))
    request, again = tick(shops), tick(shops)
    assert isinstance(request, dg.RunRequest)
    assert isinstance(again, dg.RunRequest)
    assert request.run_key == again.run_key, "one run for each publication"


def test_failure_is_a_sentence(shops: Shops) -> None:
    shops.warehouse("fr").path.write_bytes(b"not a database")
    result = shops.defs.resolve_job_def("write_all_shops").execute_in_process(
        instance=shops.instance, raise_on_error=False
    )
    assert not result.success
    [failed] = [event for event in result.all_events if event.is_step_failure]
    assert "fr.duckdb is not a DuckDB database" in str(failed.step_failure_data.user_failure_data)


def test_daily_sync_of_a_shop_does_not_write_it(shops: Shops) -> None:
    keys = shops.defs.resolve_all_asset_keys()
    assert KEY in keys
    of_daily_sync = shops.defs.resolve_job_def("daily_sync").asset_layer.executable_asset_keys
    assert all_shops_file.key not in set(of_daily_sync)

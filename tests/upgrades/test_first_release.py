"""Today's code on the first release's warehouse: it is migrated, and its histories continue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from assets.schedule import SyncSchedule
from cli.terminal.status import show
from dbt_like_sql.runner import load_project
from pipelines.errors import WarehouseError
from pipelines.load.sync import ListResult, SyncOptions, sync_lists
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from pipelines.warehouse.backup import backup
from pipelines.warehouse.moving import move
from pipelines.warehouse.raw_tables import ensure_tables, existing_columns, history_name, raw_tables
from runs.run import Finished, Plan, run
from runs.shop import shop_to_read, shop_to_sync
from runs.status import look
from tests.harness.compare import differences
from tests.harness.working_copy import working_copy

HISTORIES = [history_name(endpoint) for endpoint in ENDPOINTS.values() if endpoint.history]
Versions = dict[tuple[Any, ...], Any]


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


def change(path: Path, sql: str) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute(sql)


def columns(path: Path, table: str) -> list[str]:
    sql = (
        f"select column_name from duckdb_columns() where schema_name = 'rivo_raw' and table_name = '{table}'"
    )
    return [name for (name,) in query(path, sql)]


def versions(path: Path, table: str, names: list[str]) -> Versions:
    """Return the end of each version by its content."""
    listed = ", ".join(f'"{name}"' for name in names)
    return {
        tuple(row[:-1]): row[-1] for row in query(path, f"select {listed}, valid_to from rivo_raw.{table}")
    }


def tracked(path: Path, table: str) -> list[str]:
    return [name for name in columns(path, table) if not name.startswith("_") and name != "valid_to"]


def sync(path: Path, settings: Settings) -> list[ListResult]:
    with working_copy(Warehouse(path), settings) as work:
        results = list(sync_lists(work, settings))
        work.publish()
    return results


def assert_goes_on(before: Versions, after: Versions) -> None:
    """Assert that every version is still there, with the same end if it had ended."""
    assert before.keys() <= after.keys()
    assert {version: end for version, end in before.items() if end is not None}.items() <= after.items()


def test_sync_continues_the_first_release(
    warehouse: Path, settings: Settings, lists: dict[str, list[dict[str, Any]]]
) -> None:
    names = {table: tracked(warehouse, table) for table in HISTORIES}
    before = {table: versions(warehouse, table, names[table]) for table in HISTORIES}
    moves = "select customer_id, from_tier_id, to_tier_id, changed_by from marts.fct_tier_change"
    moved = set(query(warehouse, moves))
    log = query(warehouse, "from rivo_raw.sync_log")
    assert [len(before[table]) for table in HISTORIES].count(0) == 0
    assert moved

    project = load_project()
    *_, end = run(Plan(SyncOptions(), list(project.nodes), publish=True), project, shop_to_sync(settings))

    assert isinstance(end, Finished)
    assert (end.published, end.problems) == (True, ())
    for table in HISTORIES:
        assert_goes_on(before[table], versions(warehouse, table, names[table]))
    assert moved <= set(query(warehouse, moves))
    assert set(log) < set(query(warehouse, "select * exclude (log_position) from rivo_raw.sync_log"))
    for name, endpoint in ENDPOINTS.items():
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            found = connection.execute(f"from rivo_raw.{name} where _deleted_at is null")
            titles = [column[0] for column in found.description or ()]
            rows = {row[titles.index("id")]: dict(zip(titles, row, strict=True)) for row in found.fetchall()}
        assert differences(endpoint, rows, {row["id"]: row for row in lists[name]}) == []


def test_warehouse_of_the_first_release_becomes_that_of_one_of_several_shops(
    warehouse: Path, settings: Settings
) -> None:
    names = {table: tracked(warehouse, table) for table in HISTORIES}
    before = {table: versions(warehouse, table, names[table]) for table in HISTORIES}
    shop = warehouse.parent / "shops" / "de.duckdb"

    move(Warehouse(warehouse), Warehouse(shop))

    assert not warehouse.exists()
    assert all(result.complete for result in sync(shop, settings))
    for table in HISTORIES:
        assert_goes_on(before[table], versions(shop, table, names[table]))


def test_read_only_commands_accept_the_first_release(settings: Settings, tmp_path: Path) -> None:
    status = look(settings, SyncSchedule(settings.sync_cron, settings.timezone))
    show(status, as_json=False)
    assert status.last_sync.rows_read == 221

    shop = shop_to_read(settings)
    made = backup(shop.warehouse, shop.source, tmp_path / "saved")

    assert made.rows > 221


def test_newly_tracked_column_begins_a_version_and_keeps_earlier_ones(
    warehouse: Path, settings: Settings
) -> None:
    change(warehouse, "alter table rivo_raw.customers_history drop column points_tally")
    names = tracked(warehouse, "customers_history")
    before = versions(warehouse, "customers_history", names)

    assert all(result.complete for result in sync(warehouse, settings))

    assert_goes_on(before, versions(warehouse, "customers_history", names))
    [[without]] = query(
        warehouse,
        "select count(*) from rivo_raw.customers_history where valid_to is null and points_tally is null",
    )
    assert without == 0


def test_columns_no_longer_declared_stay(warehouse: Path, settings: Settings) -> None:
    for table in ("customers", "customers_history"):
        change(
            warehouse,
            f"alter table rivo_raw.{table} add column mood varchar; update rivo_raw.{table} set mood = 'good'",
        )
    names = tracked(warehouse, "customers_history")
    assert "mood" in names
    before = versions(warehouse, "customers_history", names)

    assert all(result.complete for result in sync(warehouse, settings))

    assert_goes_on(before, versions(warehouse, "customers_history", names))


@pytest.mark.parametrize("table", ["customers", "customers_history"])
def test_column_with_changed_type_is_converted(warehouse: Path, settings: Settings, table: str) -> None:
    names = tracked(warehouse, table)
    before = versions(warehouse, "customers_history", tracked(warehouse, "customers_history"))
    change(warehouse, f"alter table rivo_raw.{table} alter column points_tally type varchar")

    assert all(result.complete for result in sync(warehouse, settings))

    assert tracked(warehouse, table)[: len(names)] == names
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        assert existing_columns(connection)[table]["points_tally"] == "BIGINT"
    assert_goes_on(before, versions(warehouse, "customers_history", tracked(warehouse, "customers_history")))


def test_column_that_cannot_be_converted_is_reported(warehouse: Path, settings: Settings) -> None:
    change(
        warehouse,
        "alter table rivo_raw.customers_history alter column points_tally type varchar; "
        "update rivo_raw.customers_history set points_tally = points_tally || ' points'",
    )
    file = warehouse.read_bytes()

    with pytest.raises(WarehouseError) as caught:
        sync(warehouse, settings)

    assert "rivo_raw.customers_history.points_tally has the type VARCHAR in this warehouse" in str(
        caught.value
    )
    assert "rename column points_tally to points_tally_before" in str(caught.value)
    assert warehouse.read_bytes() == file
    # What it says helps.
    change(
        warehouse, "alter table rivo_raw.customers_history rename column points_tally to points_tally_before"
    )
    assert all(result.complete for result in sync(warehouse, settings))
    [[kept]] = query(warehouse, "select count(points_tally_before) from rivo_raw.customers_history")
    assert kept > 0


def test_sync_adds_every_declared_column(warehouse: Path) -> None:
    with Warehouse(warehouse).build() as work:
        ensure_tables(work.connection)
        existing = existing_columns(work.connection)
    for table, (_, declared) in raw_tables().items():
        assert {column.name for column in declared} <= existing[table].keys()

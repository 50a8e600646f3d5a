"""Rows newer than the last sync, loaded by one or two requests into the recent-events file.

That file is a small warehouse of its own, beside the published one: the published file is one consistent state, and
events newer than its customers would contradict them. The next sync reads the same rows again and deletes the file.

New rows have larger ids, so they follow the last known id. Tiers have no events (the API keeps no log of them): a
sync finds a change by comparing all customers with the sync before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import duckdb

from pipelines.load.landing import Landing
from pipelines.load.merge import configure_dlt, drop_dlt_staging
from pipelines.privacy.redaction import Redactor, apply_setting
from pipelines.rivo.client import Client
from pipelines.rivo.columns import META_COLUMNS
from pipelines.rivo.decode import Page
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.paging import read_newest
from pipelines.settings import Settings
from pipelines.sql import quoted, scalar
from pipelines.warehouse import RAW, Warehouse
from pipelines.warehouse.raw_tables import ensure_tables, write_settings

MOST_PAGES = 2
"""Number of requests at most, of 250 rows each; the rows after them are read the next time."""
_PATIENCE_SECONDS = 20.0
"""How long a request is retried: the next tick of the sensor tries again anyway."""
_BELONG_TOGETHER = {"points_events": "points_purchases_id"}
"""By list, the column that is equal in rows that a staging model looks at together: the sign of credits that come
without one depends on the earlier events of the same redemption."""
Counted = TypeVar("Counted")


@dataclass(frozen=True)
class RecentRows(Generic[Counted]):
    """New rows of a list: the size of the read, and what the caller's `count` returned for them."""

    counted: Counted | None
    """None where there were no rows."""
    rows_loaded: int
    last_id: int
    """The id after which the next read begins."""
    has_more: bool
    requests: int


def load_recent_rows(
    settings: Settings,
    warehouse: Warehouse,
    name: str,
    since_id: int,
    count: Callable[[duckdb.DuckDBPyConnection], Counted],
) -> RecentRows[Counted]:
    """Load the rows of the list `name` after `since_id` into the recent-events file.

    Args:
        settings: RIVO_PII and erasures apply as in a sync.
        warehouse: the shop's warehouse.
        name: the list.
        since_id: the largest id that the caller has seen.
        count: called with a connection to the recent-events file that holds these rows, in `rivo_raw.<name>`.

    Raises:
        ApiError, ListError: the rows cannot be read.
        WarehouseError: the recent-events file cannot be written.
    """
    patience = min(settings.patience_seconds, _PATIENCE_SECONDS)
    client = Client.of_settings(settings.model_copy(update={"patience_seconds": patience}))
    rows, last_id, has_more = read_newest(client, ENDPOINTS[name], since_id, MOST_PAGES)
    counted = None
    if rows:
        observed_at = client.observed_at or datetime.now(UTC)
        counted = _load(settings, warehouse, name, Page.of(rows), observed_at, count)
    return RecentRows(counted, len(rows), last_id, has_more, client.requests)


def largest_id(warehouse: Warehouse, name: str) -> int | None:
    """Return the largest id of a list in the published warehouse; None where it was never synced.

    Raises:
        WarehouseError: the warehouse is not there.
    """
    with warehouse.read() as connection:
        try:
            found = scalar(connection, f"select max(id) from {RAW}.{name}")
            synced = scalar(
                connection, f"select count(*) from {RAW}.sync_log where list = ? and complete", [name]
            )
        except duckdb.CatalogException:
            return None
    return (found or 0) if synced else None


def has_row(warehouse: Warehouse, name: str, row_id: int) -> bool:
    """Return whether a list has a row of this id in the published warehouse or in the recent-events file.

    Raises:
        WarehouseError: a file cannot be read.
    """
    for file in (warehouse, warehouse.recent_events):
        if file.exists:
            with file.read() as connection:
                try:
                    if scalar(connection, f"select count(*) from {RAW}.{name} where id = ?", [row_id]):
                        return True
                except duckdb.CatalogException:
                    continue
    return False


def _load(
    settings: Settings,
    warehouse: Warehouse,
    name: str,
    rows: Page,
    observed_at: datetime,
    count: Callable[[duckdb.DuckDBPyConnection], Counted],
) -> Counted:
    """Add rows to the recent-events file, redacted as in a sync; rows that a sync has loaded are not kept twice."""
    configure_dlt()
    endpoint = ENDPOINTS[name]
    with warehouse.base.read() as connection:
        erased = _erased(connection)
    with warehouse.recent_events.build() as build:
        ensure_tables(build.connection)
        write_settings(build.connection, settings.timezone)
        build.connection.execute(f"delete from {RAW}._forgotten")
        if erased:
            build.connection.executemany(f"insert into {RAW}._forgotten values (?, ?, ?, ?)", erased)
        apply_setting(build, settings)
        landing = Landing(build, endpoint, observed_at, Redactor(build.connection, settings).redact)
        landing.load([rows])
        landing.quarantine(min(landing.seen, default=1) - 1)
        _add_earlier(build.connection, warehouse, name)
        counted = count(build.connection)
        build.connection.execute(
            f"delete from {RAW}.{name} where id <= ?", [largest_id(warehouse, name) or 0]
        )
        drop_dlt_staging(build)
        build.publish()
    return counted


def _add_earlier(connection: duckdb.DuckDBPyConnection, warehouse: Warehouse, name: str) -> None:
    """Copy the warehouse's rows that belong together with the new ones; they are deleted after the count."""
    column = _BELONG_TOGETHER.get(name)
    if column is None:
        return
    values = connection.execute(
        f"select distinct {column} from {RAW}.{name} where {column} is not null"
    ).fetchall()
    names = ", ".join(quoted(each.name) for each in (*ENDPOINTS[name].columns, *META_COLUMNS))
    try:
        with warehouse.base.read() as base:
            earlier = base.execute(
                f"select {names} from {RAW}.{name} where list_contains(?, {column})",
                [[value for (value,) in values]],
            ).to_arrow_table()
    except (duckdb.CatalogException, duckdb.BinderException):
        # Written by a release that lacked the table or a column; the next sync adds it.
        return
    connection.register("earlier", earlier)
    connection.execute(
        f"insert into {RAW}.{name} by name from earlier where id not in (select id from {RAW}.{name})"
    )
    connection.unregister("earlier")


def _erased(connection: duckdb.DuckDBPyConnection) -> list[Any]:
    try:
        return connection.execute(f"from {RAW}._forgotten").fetchall()
    except duckdb.CatalogException:
        # Written by a release that could not erase a person.
        return []

"""What happened in the programme since somebody last asked, by one or two requests.

The rows are loaded into a small warehouse of their own: beside customers of last night they would be an untruth, and
the published file is one consistent state. The next sync reads them as if nobody had asked.

Rivo's events have ascending ids, so what is new is behind the last id. Tiers have no events (the API keeps no log
of them): a move is known from the daily sync, which compares all customers with the day before. Between two syncs
only upgrades that Rivo rewards with points are seen, since those are events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import duckdb

from pipelines.load.landing import Landing
from pipelines.load.merge import configure_dlt, drop_dlt_staging
from pipelines.privacy.redaction import Redactor, apply_setting
from pipelines.rivo.client import Client
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.decode import Page, Row, likely_id
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.paging import read_newest
from pipelines.settings import Settings
from pipelines.warehouse import RAW, Warehouse
from pipelines.warehouse.raw_tables import ensure_tables, write_settings

MOST_PAGES = 2
"""So many requests, of 250 rows each; what is behind them is told the next time."""
_PATIENCE_SECONDS = 20.0
"""Who asks every few minutes need not try for long."""
_TIER_SOURCE = "vip_tier"


@dataclass(frozen=True)
class News:
    """Rows of a list that nobody was told of: how many, what they amount to, and whose they are."""

    rows: int
    points: int
    credits: Decimal
    members: int
    ids: Sequence[int]
    last_id: int
    """Where the next question begins."""
    has_more: bool
    requests: int
    rows_loaded: int
    """Rows that are in the news file since, whatever they are about."""


@dataclass(frozen=True)
class TierNews:
    """Moves between tiers that a sync found, by direction ('upgrade', 'downgrade', 'lateral', 'enter', 'leave')."""

    moves: dict[str, int]
    observed_at: datetime | None
    """The last observation of tiers; where the next question begins."""


def points_earned(settings: Settings, warehouse: Warehouse, since_id: int) -> News:
    """Points events behind an id that gave points or credits.

    Raises:
        ApiError, ListError: they cannot be read.
        WarehouseError: they cannot be kept.
    """
    return _news(
        settings,
        warehouse,
        "points_events",
        since_id,
        lambda a: _points(a) > 0 or _points(a) == 0 < _credits(a),
    )


def points_redeemed(settings: Settings, warehouse: Warehouse, since_id: int) -> News:
    """Redemptions behind an id.

    Raises:
        ApiError, ListError: they cannot be read.
        WarehouseError: they cannot be kept.
    """
    return _news(settings, warehouse, "points_redemptions", since_id, lambda _: True)


def tiers_rewarded(settings: Settings, warehouse: Warehouse, since_id: int) -> News:
    """Points events behind an id that reward an upgrade.

    Raises:
        ApiError, ListError: they cannot be read.
        WarehouseError: they cannot be kept.
    """
    return _news(
        settings, warehouse, "points_events", since_id, lambda a: _TIER_SOURCE in str(a.get("source"))
    )


def tiers_changed(warehouse: Warehouse, since: datetime | None) -> TierNews:
    """Moves that syncs observed after `since`; with None, none, but where to begin.

    Raises:
        WarehouseError: the warehouse is not there.
    """
    with warehouse.read() as connection:
        try:
            [[latest]] = connection.execute(
                f"select max(observed_at) from {RAW}.sync_log where list = 'customers' and complete"
            ).fetchall()
            moves = connection.execute(
                "select direction, count(*) from marts.fct_tier_change where changed_by > ? group by all order by all",
                [since],
            ).fetchall()
        except duckdb.CatalogException:
            return TierNews({}, since)
    return TierNews(dict(moves), latest)


def largest_id(warehouse: Warehouse, table: str) -> int | None:
    """The largest id of a raw table that the published warehouse knows; None where it was never synced.

    Raises:
        WarehouseError: the warehouse is not there.
    """
    with warehouse.read() as connection:
        try:
            [[found]] = connection.execute(f"select max(id) from {RAW}.{table}").fetchall()
            [[synced]] = connection.execute(
                f"select count(*) from {RAW}.sync_log where list = ? and complete", [table]
            ).fetchall()
        except duckdb.CatalogException:
            return None
    return (found or 0) if synced else None


def _news(settings: Settings, warehouse: Warehouse, name: str, since_id: int, concerns: Any) -> News:
    patience = min(settings.patience_seconds, _PATIENCE_SECONDS)
    client = Client.of_settings(settings.model_copy(update={"patience_seconds": patience}))
    rows, last_id, has_more = read_newest(client, ENDPOINTS[name], since_id, MOST_PAGES)
    found = [(row, attributes) for row, attributes in _attributes(rows) if concerns(attributes)]
    if rows:
        _load(settings, warehouse, ENDPOINTS[name], rows, client.observed_at or datetime.now(UTC))
    members = {(attributes.get("customer") or {}).get("id") for _, attributes in found} - {None}
    return News(
        rows=len(found),
        points=sum(abs(_points(attributes)) for _, attributes in found),
        credits=sum((abs(_credits(attributes)) for _, attributes in found), Decimal(0)),
        members=len(members),
        ids=[row_id for row, _ in found if (row_id := likely_id(row)) is not None],
        last_id=last_id,
        has_more=has_more,
        requests=client.requests,
        rows_loaded=len(rows),
    )


def _load(
    settings: Settings, warehouse: Warehouse, endpoint: Endpoint, rows: list[Row], observed_at: datetime
) -> None:
    """Add rows to the news file, treated as a sync would; what a sync has brought meanwhile is not kept twice."""
    configure_dlt()
    with warehouse.base.read() as connection:
        forgotten = _forgotten(connection)
    with warehouse.recent_events.build() as build:
        ensure_tables(build.connection)
        write_settings(build.connection, settings.timezone)
        build.connection.execute(f"delete from {RAW}._forgotten")
        if forgotten:
            build.connection.executemany(f"insert into {RAW}._forgotten values (?, ?, ?, ?)", forgotten)
        apply_setting(build, settings)
        landing = Landing(build, endpoint, observed_at, Redactor(build.connection, settings).redact)
        landing.load([Page.of(rows)])
        landing.quarantine(min(landing.seen, default=1) - 1)
        build.connection.execute(
            f"delete from {RAW}.{endpoint.name} where id <= ?", [largest_id(warehouse, endpoint.name) or 0]
        )
        drop_dlt_staging(build)
        build.publish()


def _forgotten(connection: duckdb.DuckDBPyConnection) -> list[Any]:
    try:
        return connection.execute(f"from {RAW}._forgotten").fetchall()
    except duckdb.CatalogException:
        # The file is that of a release that forgot nobody.
        return []


def _attributes(rows: Sequence[Row]) -> Iterator[tuple[Row, dict[str, Any]]]:
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get("attributes"), dict):
            yield row, row["attributes"]


def _points(attributes: dict[str, Any]) -> int:
    """The signed points; of redemptions, which may come without, the magnitude."""
    value = attributes.get("points_diff", attributes.get("points_amount"))
    return value if isinstance(value, int) else 0


def _credits(attributes: dict[str, Any]) -> Decimal:
    """The signed credits: `credits_diff` where it comes, else the amount, negative for a redemption."""
    value = attributes.get("credits_diff")
    try:
        if value is not None:
            return Decimal(str(value))
        amount = Decimal(str(attributes.get("credits_amount") or 0))
    except InvalidOperation:
        return Decimal(0)
    return -amount if attributes.get("source") == "points_purchase" else amount

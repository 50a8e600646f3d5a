"""A served store with its warehouse, and what a row of the warehouse must hold, worked out on its own."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipelines.load.sync import ListResult, SyncOptions, sync_lists
from pipelines.rivo.columns import Column, Endpoint
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from pipelines.warehouse.raw_tables import ensure_tables, write_settings
from sandbox import Program, Server

DAY = timedelta(days=1)
Object = dict[str, Any]
Row = dict[str, Any]


def make_settings(server: Server | None = None, **values: Any) -> Settings:
    """Settings for a store, fast and impatient."""
    given: dict[str, Any] = {"rate_limit": 5000, "patience_seconds": 5}
    if server is not None:
        given |= {"api_key": server.key, "api_url": server.url}
    return Settings(**(given | values))


@dataclass
class Shop:
    """A store and the warehouse it is synced into."""

    server: Server
    path: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        return self.server.program

    @property
    def now(self) -> datetime:
        return self.server.now

    def wait(self, days: float = 1) -> datetime:
        """Move the store's clock and return the new time."""
        self.server.now += timedelta(days=days)
        return self.server.now

    def sync(
        self,
        *only: str,
        full: bool = False,
        allow_shrink: Collection[str] = (),
        faults: Collection[str] = (),
        rewind: bool = False,
    ) -> dict[str, ListResult]:
        """One sync of the lists named, or of all; published whatever came of it."""
        self.server.faults = faults
        self.server.requests.clear()
        settings = make_settings(self.server, **self.settings)
        options = SyncOptions(only=only, full=full, allow_shrink=allow_shrink, rewind=rewind)
        with Warehouse(self.path).build() as work:
            # As every run begins, whatever it goes on to read.
            ensure_tables(work.connection)
            write_settings(work.connection, settings.timezone)
            results = {result.name: result for result in sync_lists(work, settings, options)}
            work.publish()
        self.server.faults = ()
        return results

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of the published warehouse."""
        connection = Warehouse(self.path).read()
        try:
            return connection.execute(sql, list(parameters)).fetchall()
        finally:
            connection.close()

    def dicts(self, sql: str, *parameters: Any) -> list[Row]:
        """Rows of the published warehouse, by column."""
        connection = Warehouse(self.path).read()
        try:
            cursor = connection.execute(sql, list(parameters))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        finally:
            connection.close()

    def rows(self, name: str, alive: bool = True) -> dict[int, Row]:
        """A raw table by id."""
        condition = "where _deleted_at is null" if alive else ""
        return {row["id"]: row for row in self.dicts(f"from rivo_raw.{name} {condition}")}

    def objects(self, name: str) -> dict[int, Object]:
        """What the store answers now, by id."""
        return {row["id"]: row for row in self.program.snapshot(self.now)[name]}

    def sent(self, name: str) -> list[dict[str, str]]:
        """The parameters of the requests that the last sync sent for a list."""
        return [r.params for r in self.server.requests if r.path.endswith(f"/{name}")]

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every table of `rivo_raw`, whole."""
        connection = Warehouse(self.path).read()
        try:
            tables = connection.execute(
                "select table_name from information_schema.tables where table_schema = 'rivo_raw' order by 1"
            ).fetchall()
            return {
                name: connection.execute(f'select * from rivo_raw."{name}" order by all').fetchall()
                for (name,) in tables
            }
        finally:
            connection.close()


def moment(text: str | None) -> datetime | None:
    """A time as the API writes it."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _follow(attributes: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        attributes = attributes.get(step) if isinstance(attributes, dict) else None
    return attributes


def expected(column: Column, obj: Object) -> Any:
    """What a declared column must hold for an object of the API."""
    if column.name == "id":
        return obj["id"]
    attributes = obj["attributes"]
    value = attributes.get(column.name)
    for alias in column.aliases:
        value = attributes.get(alias) if value is None else value
    if value is None and column.fallback:
        value = _follow(attributes, (column.fallback, "id"))
    if value is None:
        return None
    match column.type:
        case "timestamp":
            return moment(value)
        case "decimal":
            return Decimal(str(value)).quantize(Decimal("0.0001"))
        case "scalar":
            return value if isinstance(value, str) else json.dumps(value)
        case "double":
            return float(value)
        case _:
            return value


def found(column: Column, row: Row) -> Any:
    """What a declared column holds in a row of the warehouse, JSON read."""
    value = row[column.name]
    return json.loads(value) if column.type == "json" and value is not None else value


def differences(endpoint: Endpoint, rows: dict[int, Row], objects: dict[int, Object]) -> list[str]:
    """Where the warehouse and the store disagree, attribute by attribute."""
    said = [f"{endpoint.name}: missing {sorted(objects.keys() - rows.keys())[:5]}"] * bool(
        objects.keys() - rows.keys()
    )
    said += [f"{endpoint.name}: too many {sorted(rows.keys() - objects.keys())[:5]}"] * bool(
        rows.keys() - objects.keys()
    )
    for id in rows.keys() & objects.keys():
        for column in endpoint.columns:
            want, have = expected(column, objects[id]), found(column, rows[id])
            if want != have or type(want) is not type(have):
                said.append(f"{endpoint.name} {id} {column.name}: {have!r} instead of {want!r}")
    return said

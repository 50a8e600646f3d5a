"""The marts and reports of all shops as one: a union to query, and a file of its own for other programs.

Each shop has a warehouse of its own, without a column for the shop. The union adds one, `shop`, as the first column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import duckdb

from pipelines.errors import NoWarehouse, WarehouseError, command
from pipelines.sql import literal, quoted, scalar
from pipelines.warehouse.raw_tables import RAW
from pipelines.warehouse.reading import reading_config, restrict
from pipelines.warehouse.storage_errors import damaged, first_line, refuse_foreign, unreadable
from pipelines.warehouse.warehouse import Warehouse

SCHEMAS = ("marts", "reports")
"""Schemas whose tables are united."""
SHOP = "shop"
_SHOP_COMMENT = "Name of the shop in RIVO_SHOPS."
_THREADS = 4
"""Files opened at a time: DuckDB spends most of the time on the descriptions of a file's columns."""
_BLOCK = re.compile(r"stored checksum (?P<checksum>\d+) in block at location (?P<place>\d+)")
_CHECKSUM_BYTES = 8
_RELATIONS = """
select database_name, schema_name, table_name, comment from duckdb_tables() where schema_name in ('marts', 'reports')
union all
select database_name, schema_name, view_name, comment from duckdb_views() where schema_name in ('marts', 'reports')
"""
_COLUMNS = """
select database_name, schema_name, table_name, column_name, comment from duckdb_columns()
where schema_name in ('marts', 'reports') and comment is not null
"""
_META = {
    SHOP: ("varchar", _SHOP_COMMENT),
    "observed_at": (
        "timestamptz",
        "Time of the shop's newest data: that of the last complete read of a list.",
    ),
    "published_at": ("timestamptz", "Time at which the shop's warehouse was written."),
    "timezone": ("varchar", "Time zone of the shop's days and months."),
    "currency": ("varchar", "ISO 4217 code of the shop's amounts of money; null if it is not set."),
    "row_count": ("bigint", "Number of rows of the shop in marts and reports."),
}
"""Type and description of each column of `meta.shops`."""


@dataclass(frozen=True)
class ShopState:
    """A shop in the file of all shops: a row of `meta.shops`."""

    shop: str
    observed_at: datetime | None
    published_at: datetime
    timezone: str | None
    currency: str | None
    row_count: int


@dataclass(frozen=True)
class AllShops:
    """The published warehouses of several shops, by their names in RIVO_SHOPS.

    A shop that has not been published yet is left out.
    """

    warehouses: Mapping[str, Warehouse]

    def __str__(self) -> str:
        """Return the name in messages."""
        return f"the warehouses of {', '.join(self.published)}"

    @property
    def published(self) -> tuple[str, ...]:
        """The shops that have a warehouse."""
        return tuple(name for name, warehouse in self.warehouses.items() if warehouse.exists)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The shops that have none yet."""
        return tuple(name for name, warehouse in self.warehouses.items() if not warehouse.exists)

    @property
    def version(self) -> object:
        """A value that differs after each publication of a shop."""
        return tuple(warehouse.version for warehouse in self.warehouses.values())

    def damage(self, error: duckdb.Error) -> WarehouseError | None:
        """Return an error that names the damaged file, if DuckDB reports one; else None."""
        paths = [self.warehouses[name].path for name in self.published]
        found = [path for path in paths if _has_block_of(error, path)] or paths
        if not found or damaged(found[0], str(error)) is None:
            return None
        if len(found) == 1:
            return damaged(found[0], str(error))
        return WarehouseError(
            f"One of these files is damaged ({first_line(str(error))}): {', '.join(map(str, found))}. To see which, "
            "query each shop alone. Nothing was changed."
        )

    def read(self, spill: str | None = None) -> duckdb.DuckDBPyConnection:
        """Open the union: read-only, in UTC, and without access to other files, as `Warehouse.read` does for one shop.

        The views `marts.<table>` and `reports.<table>` unite the tables of that name by the names of their columns. A
        column that a shop's file lacks is null there. All tables of a shop are in the database of its name, such as
        `de.staging.x`.

        As in `Warehouse.read`, a caller that runs SQL of a user must reject statements that write.

        Raises:
            NoWarehouse: no shop has been published.
            WarehouseError: a file cannot be opened, or the columns of two shops cannot be united.
        """
        warehouses = self._to_read()
        # An in-memory database would spill into the current folder.
        spill = spill or f"{next(iter(warehouses.values())).path}.tmp"
        connection = duckdb.connect(config=reading_config(spill))
        try:
            relations = _united(connection, warehouses)
            connection.execute("begin")
            for relation in relations:
                _create(connection, "view", relation, relation.union)
                if relation.comment:
                    connection.execute(f"comment on view {relation.name} is {literal(relation.comment)}")
            connection.execute("commit")
            restrict(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def write(self, target: Warehouse, currencies: Mapping[str, str] | None = None) -> list[ShopState]:
        """Write the union into a warehouse of its own, for programs that open one file, and publish it.

        It has the tables of `read` with their descriptions, and `meta.shops`: how fresh the data of each shop are. A
        table of it is a copy: nothing in it changes before it is written again.

        Args:
            target: the warehouse to write or replace, in one step.
            currencies: the currency of each shop that has one, for `meta.shops`.

        Returns:
            the shops in it.

        Raises:
            NoWarehouse: no shop has been published.
            WarehouseError: a file cannot be opened or written, or the columns of two shops cannot be united.
        """
        warehouses = self._to_read()
        with target.build(is_fresh=True) as work:
            states = _write(work.connection, warehouses, currencies or {})
            work.publish()
        return states

    def _to_read(self) -> dict[str, Warehouse]:
        found = {name: self.warehouses[name] for name in self.published}
        if not found:
            raise NoWarehouse(
                f"No shop of {', '.join(self.warehouses)} has a warehouse yet. Run `{command()} sync` first."
            )
        for warehouse in found.values():
            refuse_foreign(warehouse.path)
        return found


@dataclass
class _Relation:
    """A table or view that at least one shop has."""

    schema: str
    table: str
    comment: str | None
    shops: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    @cached_property
    def union(self) -> str:
        return " union all by name ".join(map(self.rows_of, self.shops))

    def rows_of(self, shop: str) -> str:
        return f"select {literal(shop)} as {SHOP}, * from {quoted(shop)}.{self.name}"


def _united(
    connection: duckdb.DuckDBPyConnection, warehouses: Mapping[str, Warehouse]
) -> Iterable[_Relation]:
    """Attach the file of each shop under its name, create the schemas, and return what is to be united."""

    def attach(shop: str) -> None:
        path = warehouses[shop].path
        with connection.cursor() as cursor:
            try:
                cursor.execute(f"attach {literal(str(path))} as {quoted(shop)} (read_only, type duckdb)")
            except duckdb.Error as error:
                raise unreadable(path, error) from None

    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(attach, warehouses))
    for schema in SCHEMAS:
        connection.execute(f"create schema {schema}")
    rows = connection.execute(_RELATIONS).fetchall()
    relations: dict[tuple[str, str], _Relation] = {}
    order = list(warehouses)
    for shop, schema, table, comment in sorted(rows, key=lambda row: (row[1], row[2], order.index(row[0]))):
        relations.setdefault((schema, table), _Relation(schema, table, comment)).shops.append(shop)
    return relations.values()


def _create(connection: duckdb.DuckDBPyConnection, kind: str, relation: _Relation, sql: str) -> None:
    try:
        connection.execute(f"create {kind} {relation.name} as {sql}")
    except duckdb.BinderException as error:
        raise _not_united(error, f"{relation.schema}.{relation.table}") from None


def _write(
    connection: duckdb.DuckDBPyConnection, warehouses: Mapping[str, Warehouse], currencies: Mapping[str, str]
) -> list[ShopState]:
    counts = dict.fromkeys(warehouses, 0)
    relations = list(_united(connection, warehouses))
    described = _descriptions(connection)
    connection.execute("begin")
    for relation in relations:
        _create(connection, "table", relation, f"{relation.union} limit 0")
        for shop in relation.shops:
            # One shop at a time: less memory than all at once, and an error is that of one file.
            try:
                counts[shop] += scalar(
                    connection, f"insert into {relation.name} by name {relation.rows_of(shop)}"
                )
            except duckdb.ConversionException as error:
                raise _not_united(error, f"{relation.schema}.{relation.table} of {shop}") from None
            except duckdb.Error as error:
                raise damaged(warehouses[shop].path, str(error)) or error from None
        _comment(connection, relation, described)
    states = [
        ShopState(
            shop,
            *_freshness(connection, shop, warehouse.path),
            currencies.get(shop) or None,
            counts[shop],
        )
        for shop, warehouse in warehouses.items()
    ]
    _write_states(connection, states)
    connection.execute("commit")
    for shop in warehouses:
        connection.execute(f"detach {quoted(shop)}")
    return states


def _descriptions(connection: duckdb.DuckDBPyConnection) -> Mapping[tuple[str, str, str], dict[str, str]]:
    """Return the description of each column, by shop, schema and table."""
    described: dict[tuple[str, str, str], dict[str, str]] = {}
    for shop, schema, table, column, comment in connection.execute(_COLUMNS).fetchall():
        described.setdefault((shop, schema, table), {})[column] = comment
    return described


def _comment(
    connection: duckdb.DuckDBPyConnection,
    relation: _Relation,
    described: Mapping[tuple[str, str, str], dict[str, str]],
) -> None:
    """Describe a table and its columns as the first shop does that has a description."""
    if relation.comment:
        connection.execute(f"comment on table {relation.name} is {literal(relation.comment)}")
    comments = {SHOP: _SHOP_COMMENT}
    for shop in reversed(relation.shops):
        comments |= described.get((shop, relation.schema, relation.table), {})
    for column, comment in comments.items():
        connection.execute(f"comment on column {relation.name}.{quoted(column)} is {literal(comment)}")


def _freshness(
    connection: duckdb.DuckDBPyConnection, shop: str, path: Path
) -> tuple[datetime | None, datetime, str | None]:
    """Return the time of a shop's data, the time of its file, and the shop's time zone."""
    raw = f"{quoted(shop)}.{RAW}"
    observed_at = scalar(connection, f"select max(observed_at) filter (complete) from {raw}.sync_log")
    timezone = scalar(connection, f"select max(timezone) from {raw}.settings")
    return observed_at, datetime.fromtimestamp(path.stat().st_mtime, UTC), timezone


def _write_states(connection: duckdb.DuckDBPyConnection, states: Iterable[ShopState]) -> None:
    connection.execute("create schema meta")
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in _META.items())
    connection.execute(f"create table meta.shops ({columns})")
    for state in states:
        # Literals, because DuckDB imports pandas to bind a parameter.
        values = (getattr(state, name) for name in _META)
        texts = [literal(None if value is None else str(value)) for value in values]
        connection.execute(f"insert into meta.shops values ({', '.join(texts)})")
    connection.execute(
        "comment on table meta.shops is 'The shops in this file, and how fresh their data are.'"
    )
    for name, (_, comment) in _META.items():
        connection.execute(f"comment on column meta.shops.{name} is {literal(comment)}")


def _has_block_of(error: duckdb.Error, path: Path) -> bool:
    """Return whether a file has the damaged block that DuckDB's message describes without naming the file."""
    if found := _BLOCK.search(str(error)):
        with suppress(OSError), path.open("rb") as file:
            file.seek(int(found["place"]))
            return int.from_bytes(file.read(_CHECKSUM_BYTES), "little") == int(found["checksum"])
    return False


def _not_united(error: duckdb.Error, what: str) -> WarehouseError:
    return WarehouseError(
        f"The tables of the shops cannot be united: {what} ({first_line(str(error))}). Sync all shops with this "
        "release, then run this again."
    )

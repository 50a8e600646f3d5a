"""The tables of a published warehouse as targets get them: columns, keys, descriptions, fingerprints."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import duckdb

from pipelines.errors import RivoError, command
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.sql import literal, quoted, scalar
from pipelines.warehouse import RAW, Warehouse

SOURCE = "published"
"""Name under which the warehouse is attached."""
_TYPES = {
    # As a DOUBLE in Parquet, they would lose digits.
    "HUGEINT": "DECIMAL(38,0)",
    "UHUGEINT": "DECIMAL(38,0)",
    "BIGNUM": "VARCHAR",
    "BIT": "VARCHAR",
    # Parquet has no negative ones.
    "INTERVAL": "VARCHAR",
    # Parquet keeps no offset.
    "TIME WITH TIME ZONE": "VARCHAR",
    # Most databases have microseconds.
    "TIMESTAMP_NS": "TIMESTAMP",
    "TIME_NS": "TIME",
}
"""Types that a target cannot keep as they are -> the type that it gets."""
_CASTS = frozenset(_TYPES.values())
GROWING_VIEWS = frozenset({"marts.fct_member_daily"})
"""Views with a row for each day and member. They stay views where a target has views, and are left out elsewhere."""


@dataclass(frozen=True)
class Column:
    """A column of a table; `type` is DuckDB's name of the type that a target gets."""

    name: str
    type: str
    comment: str | None = None


@dataclass(frozen=True)
class Table:
    """A table or view of the warehouse, to be published as a table."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    comment: str | None = None
    key: tuple[str, ...] = ()
    """Columns that are unique together and never null; empty if there are none."""
    rows: int = 0
    fingerprint: str = ""
    """Differs if the rows, the columns, the key or the descriptions differ. It does not depend on the order of rows."""
    view: str | None = None
    """For one of `GROWING_VIEWS`: the SELECT of the view. Its rows are not counted, and never published."""

    @property
    def relation(self) -> str:
        """Name in SQL: `schema.name`."""
        return f"{self.schema}.{self.name}"

    @property
    def source(self) -> str:
        """SQL: the rows, in parentheses, for the connection of a `Content`."""
        # To cast a value to the type that it has costs nothing.
        columns = [
            f"{quoted(c.name)}::{c.type} as {quoted(c.name)}" if c.type in _CASTS else quoted(c.name)
            for c in self.columns
        ]
        return f"(select {', '.join(columns)} from {SOURCE}.{quoted(self.schema)}.{quoted(self.name)})"


@dataclass(frozen=True)
class Content:
    """The tables to publish, and the connection to read them with."""

    connection: duckdb.DuckDBPyConnection
    tables: tuple[Table, ...]
    """Views last, since they read the others."""
    observed_at: datetime
    """Time of the newest data: that of the last complete read of a list."""
    published_at: datetime
    """When the warehouse was published locally."""
    erased_at: datetime | None
    """When personal data was last deleted from the warehouse."""
    shop: str
    """Name of the shop in RIVO_SHOPS; empty without it."""
    warehouse_id: str
    warehouse: Warehouse

    def schema_name(self, schema: str) -> str:
        """Return the name of a schema in a database that several shops share: `marts`, or `de_marts` for a shop."""
        return f"{self.shop}_{schema}" if self.shop else schema

    def select_of(self, view: Table, name_of: Callable[[Table], str]) -> str:
        """Return the SELECT of one of `GROWING_VIEWS`, with the names that the tables have in a target."""
        names = {table.relation: name_of(table) for table in self.tables}
        pattern = "|".join(rf"\b{re.escape(name)}\b" for name in names)
        return re.sub(pattern, lambda match: names[match[0]], view.view or "")


def json_text(column: Column) -> str:
    """Return SQL: a value of JSON, or a list or struct as JSON, in a text without U+0000.

    Few databases can store U+0000; U+FFFD stands for it. A text of JSON has no control characters, so U+0001 can keep
    the place of escaped backslashes meanwhile: after one, `u0000` is only letters.
    """
    name = quoted(column.name)
    text = f"{name}::varchar" if column.type == "JSON" else f"to_json({name})::varchar"
    return rf"replace(replace(replace({text}, '\\', chr(1)), '\u0000', '\ufffd'), chr(1), '\\')"


@contextmanager
def opened(
    warehouse: Warehouse, shop: str, schemas: Collection[str], keys: Mapping[str, tuple[str, ...]]
) -> Iterator[Content]:
    """Open the published warehouse, and read what its tables are.

    Args:
        warehouse: the warehouse of the shop.
        shop: its name in RIVO_SHOPS; empty without it.
        schemas: the schemas to publish.
        keys: columns that are unique together, by relation, such as `marts.dim_member`.

    Raises:
        NoWarehouse: nothing has been published.
        RivoError: the file cannot be read, or an older release wrote it.
    """
    with warehouse.attach(SOURCE) as connection:
        try:
            observed_at = scalar(
                connection, f"select max(observed_at) from {SOURCE}.{RAW}.sync_log where complete"
            )
            warehouse_id = scalar(connection, f"select max(warehouse_id) from {SOURCE}.{RAW}.settings")
            published_at, erased_at = connection.execute(
                f"select max(published_at), max(erased_at) from {SOURCE}.{RAW}._publication"
            ).fetchone() or (None, None)
            tables = _tables(connection, schemas, {**_raw_keys(), **keys}) if warehouse_id else ()
        except (duckdb.BinderException, duckdb.CatalogException):
            published_at = None
        except duckdb.Error as error:
            raise warehouse.damage(error) or error from None
        if not published_at or not warehouse_id or not observed_at:
            raise RivoError(
                f"{warehouse} was published by an older release, or before any complete read, so no target can "
                f"recognise it. Run `{command()} sync` once; it publishes to the targets too."
            )
        yield Content(
            connection,
            tables,
            observed_at.astimezone(UTC),
            published_at.astimezone(UTC),
            erased_at,
            shop,
            str(warehouse_id),
            warehouse,
        )


def _raw_keys() -> dict[str, tuple[str, ...]]:
    return {f"{RAW}.{name}": ("id",) for name in ENDPOINTS}


def _tables(
    connection: duckdb.DuckDBPyConnection, schemas: Collection[str], keys: Mapping[str, tuple[str, ...]]
) -> tuple[Table, ...]:
    among = ", ".join(map(literal, schemas)) or "null"
    found = connection.execute(
        f"""
        select schema_name, table_name, comment, null from duckdb_tables()
        where database_name = '{SOURCE}' and schema_name in ({among}) and not starts_with(table_name, '_dlt')
        union all
        select schema_name, view_name, comment, sql from duckdb_views()
        where database_name = '{SOURCE}' and schema_name in ({among})
        order by 1, 2
        """
    ).fetchall()
    columns: dict[tuple[str, str], list[Column]] = {}
    for schema, table, name, kind, comment in connection.execute(
        f"""
        select schema_name, table_name, column_name, data_type, comment from duckdb_columns()
        where database_name = '{SOURCE}' and schema_name in ({among}) order by column_index
        """
    ).fetchall():
        columns.setdefault((schema, table), []).append(Column(name, _type(kind), comment))
    tables = [
        _with_fingerprint(
            connection,
            Table(
                schema,
                name,
                tuple(columns[schema, name]),
                comment,
                keys.get(f"{schema}.{name}", ()),
                view=_select_of(sql) if f"{schema}.{name}" in GROWING_VIEWS else None,
            ),
        )
        for schema, name, comment, sql in found
    ]
    return tuple(sorted(tables, key=lambda table: table.view is not None))


def _type(kind: str) -> str:
    """Return the type that a target gets for a type of DuckDB."""
    return "VARCHAR" if kind.startswith("ENUM(") and kind.endswith(")") else _TYPES.get(kind, kind)


def _select_of(view: str) -> str:
    """Return the SELECT of DuckDB's CREATE VIEW statement."""
    return view.partition(" AS ")[2].rstrip().removesuffix(";")


def _with_fingerprint(connection: duckdb.DuckDBPyConnection, table: Table) -> Table:
    """Return a table with its rows counted, its fingerprint, and its key only if no row has a null in it."""
    if table.view is not None:
        rows, content, filled = 0, table.view, False
    else:
        names = [column.name for column in table.columns]
        key = [name for name in table.key if name in names]
        nulls = " or ".join(f"{quoted(name)} is null" for name in key) or "true"
        found = connection.execute(
            f"select count(*), sum(hash({', '.join(map(quoted, names))})::hugeint)::varchar, "
            f"count(*) filter ({nulls}) = 0 from {table.source}"
        ).fetchone()
        assert found is not None
        rows, content, filled = found[0], str(found[1]), found[2] and len(key) == len(table.key)
    key_used = table.key if filled else ()
    about = repr((table.columns, table.comment, key_used, rows, content))
    fingerprint = hashlib.md5(about.encode(), usedforsecurity=False).hexdigest()
    return replace(table, key=key_used, rows=rows, fingerprint=fingerprint)

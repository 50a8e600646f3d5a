"""Tables that this release declares, in any schema of a warehouse: created, extended, converted and described."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import duckdb

from pipelines.errors import WarehouseError
from pipelines.rivo.columns import Column
from pipelines.rivo.types import duckdb_type
from pipelines.sql import literal, quoted, scalar

Declared = Mapping[str, tuple[str, Sequence[Column]]]
"""The tables of a schema: name -> (description, columns)."""
_Table = tuple[str, str]
"""Schema and name of a table."""


def ensure_declared(connection: duckdb.DuckDBPyConnection, schemas: Mapping[str, Declared]) -> None:
    """Bring the tables of some schemas up to what is declared. Other tables and columns stay as they are.

    Converts columns that have another type, creates missing tables and columns, and writes descriptions that have
    changed as comments.

    Raises:
        WarehouseError: a column holds a value that cannot be converted.
    """
    tables = {
        (schema, name): declared for schema, those in schemas.items() for name, declared in those.items()
    }
    types, comments = _stored(connection, list(schemas))
    for table, (_, columns) in tables.items():
        for column in columns:
            kind = types.get(table, {}).get(column.name)
            if kind not in (None, duckdb_type(column)):
                _convert(connection, ".".join(table), column, str(kind))
    statements = [
        statement
        for table, (description, columns) in tables.items()
        for statement in (
            *_missing(table, columns, types.get(table)),
            *_descriptions(table, description, columns, comments),
        )
    ]
    if statements:
        created = [f"create schema if not exists {schema}" for schema in schemas]
        connection.execute(";\n".join(["begin", *created, *statements, "commit"]))


def _stored(
    connection: duckdb.DuckDBPyConnection, schemas: list[str]
) -> tuple[dict[_Table, dict[str, str]], dict[tuple[str, str, str | None], str | None]]:
    """Return the DuckDB types of the columns by table, and the comments by column; that of a table has no column."""
    types: dict[_Table, dict[str, str]] = {}
    comments: dict[tuple[str, str, str | None], str | None] = {}
    here = "database_name = current_database() and list_contains($schemas, schema_name)"
    # A new file has none of them. There it would take longest, since DuckDB first makes its own views.
    if not scalar(connection, f"select count(*) from duckdb_schemas() where {here}", {"schemas": schemas}):
        return types, comments
    rows = connection.execute(
        f"select schema_name, table_name, column_name, data_type, comment from duckdb_columns() where {here} "
        f"union all select schema_name, table_name, null, null, comment from duckdb_tables() where {here}",
        {"schemas": schemas},
    ).fetchall()
    for schema, table, column, kind, comment in rows:
        comments[schema, table, column] = comment
        if column is not None:
            types.setdefault((schema, table), {})[column] = kind
    return types, comments


def _missing(table: _Table, columns: Sequence[Column], types: Mapping[str, str] | None) -> Iterator[str]:
    """Yield the statements that create a table, or its missing columns."""
    if types is None:
        yield f"create table {_name(table)} ({', '.join(map(_definition, columns))})"
        return
    for column in columns:
        if column.name not in types:
            yield f"alter table {_name(table)} add column {_definition(column)}"


def _descriptions(
    table: _Table,
    description: str,
    columns: Sequence[Column],
    comments: Mapping[tuple[str, str, str | None], str | None],
) -> Iterator[str]:
    """Yield the statements that write the descriptions of a table and its columns where existing comments differ."""
    if comments.get((*table, None)) != description:
        yield f"comment on table {_name(table)} is {literal(description)}"
    for column in columns:
        if comments.get((*table, column.name)) != column.description:
            text = literal(column.description)
            yield f"comment on column {_name(table)}.{quoted(column.name)} is {text}"


def _convert(connection: duckdb.DuckDBPyConnection, table: str, column: Column, kind: str) -> None:
    wanted = duckdb_type(column)
    try:
        connection.execute(f"alter table {table} alter column {quoted(column.name)} set data type {wanted}")
    except duckdb.Error:
        raise WarehouseError(
            f"{table}.{column.name} has the type {kind} in this warehouse, which an older release wrote. This release "
            f"needs {wanted}, and not every value can be converted. Nothing was changed. To keep the old values under "
            f"another name, run `alter table {table} rename column {column.name} to {column.name}_before` on the file "
            "with the DuckDB CLI, then run the sync again."
        ) from None


def _name(table: _Table) -> str:
    return ".".join(map(quoted, table))


def _definition(column: Column) -> str:
    # Only the key is NOT NULL: DuckDB cannot add a NOT NULL column to a table with rows.
    not_null = " not null" if column.name == "id" and column.required else ""
    return f"{quoted(column.name)} {duckdb_type(column)}{not_null}"

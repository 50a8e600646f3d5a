"""The tables of `rivo_raw` that must exist before anything is read, so that an empty shop has them too."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from pipelines.errors import WarehouseError
from pipelines.rivo.columns import META_COLUMNS, Column, Endpoint
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.types import duckdb_type
from pipelines.sql import exists, literal, quoted, scalar

RAW = "rivo_raw"
"""The schema of the raw tables."""

HISTORY_META: tuple[Column, ...] = (
    Column("_row_version", "text", "Hash of the tracked columns."),
    Column("valid_from", "timestamp", "Observation time of the sync that first saw this version."),
    Column(
        "valid_to",
        "timestamp",
        "Observation time of the sync that no longer saw it; null while it is current.",
    ),
)

SYNC_LOG: tuple[Column, ...] = (
    Column("list", "text", "The Rivo list."),
    Column("observed_at", "timestamp", "Observation time of the sync."),
    Column("log_position", "bigint", "Number of the row in the log, ascending; later rows have larger ones."),
    Column("kind", "text", "'full' (read whole) or 'incremental' (from the rows that can still change)."),
    Column("complete", "bool", "Whether the list was read to its end and landed."),
    Column("requests", "bigint", "Requests sent for this list, retries included."),
    Column("rows_read", "bigint", "Rows the API returned."),
    Column("rows_new", "bigint", "Rows never seen before."),
    Column("rows_changed", "bigint", "Rows seen before that differ now (or came back after a deletion)."),
    Column("rows_deleted", "bigint", "Rows that a complete read no longer held."),
    Column("rows_quarantined", "bigint", "Rows set apart in _quarantine by this read."),
    Column("seconds", "double", "How long the list took."),
    Column("error", "text", "Why the list is not complete."),
)

QUARANTINE: tuple[Column, ...] = (
    Column("list", "text", "The Rivo list."),
    Column("id", "bigint", "Id of the row, where it has one."),
    Column("reason", "text", "Why the row could not be loaded."),
    Column("row", "json", "The row as Rivo sent it."),
    Column("observed_at", "timestamp", "Observation time of the sync that last read it."),
)

SETTINGS: tuple[Column, ...] = (
    Column(
        "timezone", "text", "The shop's IANA time zone (RIVO_TIMEZONE), in which local days are reported."
    ),
    Column("pii", "text", "What was done to personal data (RIVO_PII): keep, hash or drop; null means keep."),
    Column("pii_key_check", "text", "Changes with RIVO_PII_KEY and tells nothing of it."),
    Column(
        "reread_since",
        "timestamp",
        "Lists not read completely after this time are read so: their personal data is to come back.",
    ),
)

FORGOTTEN: tuple[Column, ...] = (
    Column("customer_key", "bigint", "The random id that stands for the person now; negative."),
    Column("identifier", "text", "Keyed hash of an id, address or code that Rivo knows the person by."),
    Column("key_check", "text", "Changes with RIVO_PII_KEY and tells nothing of it."),
    Column("forgotten_at", "timestamp", "When this identifier was put down."),
)


def history_name(endpoint: Endpoint) -> str:
    """Name of the SCD2 table of a list."""
    return f"{endpoint.name}_history"


def history_columns(endpoint: Endpoint) -> tuple[Column, ...]:
    """The tracked columns of a list with their types, `id` first, and the validity columns."""
    tracked = {column.name: column for column in endpoint.columns}
    return (tracked["id"], *(tracked[name] for name in endpoint.history), *HISTORY_META)


def raw_tables() -> dict[str, tuple[str, tuple[Column, ...]]]:
    """Every table of `rivo_raw`: name -> (description, columns)."""
    tables = {e.name: (e.description, (*e.columns, *META_COLUMNS)) for e in ENDPOINTS.values()}
    for endpoint in ENDPOINTS.values():
        if endpoint.history:
            tables[history_name(endpoint)] = (
                f"History of {endpoint.title} (SCD2 on observation times, half-open [valid_from, valid_to)).",
                history_columns(endpoint),
            )
    tables["sync_log"] = ("One row a list and sync.", SYNC_LOG)
    tables["_quarantine"] = ("Rows that could not be loaded as they came, with the reason.", QUARANTINE)
    tables["_forgotten"] = ("People removed by `rivo forget`: what they are recognised by.", FORGOTTEN)
    tables["settings"] = ("One row: the settings that the models read.", SETTINGS)
    return tables


def write_settings(connection: duckdb.DuckDBPyConnection, timezone: str) -> None:
    """Put the settings that the models read where they can read them; models know no environment."""
    if not exists(connection, f"from {RAW}.settings"):
        connection.execute(f"insert into {RAW}.settings (timezone) values (?)", [timezone])
    connection.execute(
        f"update {RAW}.settings set timezone = $timezone where timezone is distinct from $timezone",
        {"timezone": timezone},
    )


def ensure_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables and columns that are missing, and describe them in the database itself.

    Columns to which an older release gave another type are converted, and changed descriptions are written again.

    Raises:
        WarehouseError: a column holds a value that cannot be converted.
    """
    connection.execute(f"create schema if not exists {RAW}")
    existing = existing_columns(connection)
    statements = [
        statement
        for table, (_, columns) in raw_tables().items()
        for statement in _missing(table, columns, existing.get(table))
    ]
    connection.execute(";\n".join(["begin", *statements, "commit"]))
    for table, (_, columns) in raw_tables().items():
        for column in columns:
            kind = existing.get(table, {}).get(column.name)
            if kind not in (None, duckdb_type(column)):
                _convert(connection, f"{RAW}.{table}", column, str(kind))
    number_log(connection)
    _describe(connection)


def _missing(table: str, columns: tuple[Column, ...], existing: dict[str, str] | None) -> Iterator[str]:
    """Yield the statements that create a table, or its missing columns."""
    if existing is None:
        yield f"create table {RAW}.{quoted(table)} ({', '.join(map(_definition, columns))})"
        return
    for column in columns:
        if column.name not in existing:
            yield f"alter table {RAW}.{quoted(table)} add column {_definition(column)}"


def number_log(connection: duckdb.DuckDBPyConnection) -> None:
    """Number the rows of the log that an older release wrote, in their order."""
    log = f"{RAW}.sync_log"
    if exists(connection, f"from {log} where log_position is null"):
        # That release wrote one row after the other; nothing else tells the order within a second.
        connection.execute(f"update {log} set log_position = rowid + 1 where log_position is null")


def _describe(connection: duckdb.DuckDBPyConnection) -> None:
    """Write the comments of tables and columns where they differ from the descriptions."""
    tables = dict(
        connection.execute(
            "select table_name, comment from duckdb_tables() "
            "where schema_name = ? and database_name = current_database()",
            [RAW],
        ).fetchall()
    )
    columns = {
        (table, column): comment
        for table, column, comment in connection.execute(
            "select table_name, column_name, comment from duckdb_columns() "
            "where schema_name = ? and database_name = current_database()",
            [RAW],
        ).fetchall()
    }
    statements = []
    for table, (description, declared) in raw_tables().items():
        name = f"{RAW}.{quoted(table)}"
        if tables[table] != description:
            statements.append(f"comment on table {name} is {literal(description)}")
        statements += [
            f"comment on column {name}.{quoted(column.name)} is {literal(column.description)}"
            for column in declared
            if columns[table, column.name] != column.description
        ]
    connection.execute(";\n".join(["begin", *statements, "commit"]))


def _convert(connection: duckdb.DuckDBPyConnection, table: str, column: Column, kind: str) -> None:
    wanted = duckdb_type(column)
    try:
        connection.execute(f"alter table {table} alter column {quoted(column.name)} set data type {wanted}")
    except duckdb.Error:
        raise WarehouseError(
            f"{table}.{column.name} is {kind} in this warehouse, which an older release wrote. It is {wanted} now, and "
            "not every value can be converted. Nothing was changed. To keep the old values under another name, run "
            f"`alter table {table} rename column {column.name} to {column.name}_before` on the file with the DuckDB "
            "CLI, then the sync again."
        ) from None


def _definition(column: Column) -> str:
    # Only the key is NOT NULL: such a column could not be added to a filled table.
    not_null = " not null" if column.name == "id" and column.required else ""
    return f"{quoted(column.name)} {duckdb_type(column)}{not_null}"


def live_rows(connection: duckdb.DuckDBPyConnection, endpoint: Endpoint, condition: str = "true") -> int:
    """How many rows of a list that Rivo still holds meet a SQL condition."""
    sql = f"select count(*) from {RAW}.{endpoint.name} where _deleted_at is null and {condition}"
    count: int = scalar(connection, sql)
    return count


def existing_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """The tables that are there now: name -> column -> DuckDB type."""
    found: dict[str, dict[str, str]] = {}
    rows = connection.execute(
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = ? order by ordinal_position",
        [RAW],
    ).fetchall()
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found

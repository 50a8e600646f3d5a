"""Names, types and values as Postgres has them."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Sequence

from pipelines.sql import quoted
from pipelines.targets.content import Column, Content, json_text

_TYPES = {
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "SMALLINT": "smallint",
    "TINYINT": "smallint",
    "UTINYINT": "smallint",
    "USMALLINT": "integer",
    "UINTEGER": "bigint",
    "UBIGINT": "numeric(20,0)",
    "HUGEINT": "numeric(38,0)",
    "UHUGEINT": "numeric(39,0)",
    "DOUBLE": "double precision",
    "FLOAT": "real",
    "BOOLEAN": "boolean",
    "VARCHAR": "text",
    "BLOB": "bytea",
    "JSON": "jsonb",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "UUID": "uuid",
}
_BATCH_ROWS = 50_000
_NAME_BYTES = 63
_HASH_LETTERS = 12


def shortened(name: str) -> str:
    """Return a name as it is, or if Postgres would cut it, its beginning and a hash of the whole name."""
    raw = name.encode()
    if len(raw) <= _NAME_BYTES:
        return name
    beginning = raw[: _NAME_BYTES - _HASH_LETTERS - 1].decode(errors="ignore")
    return f"{beginning}_{hashlib.md5(raw, usedforsecurity=False).hexdigest()[:_HASH_LETTERS]}"


def identifier(name: str) -> str:
    """Quote a name of any length for Postgres."""
    return quoted(shortened(name))


def place(label: str) -> str:
    """Return the name in SQL of a table whose label, `schema.name`, has short names."""
    schema, _, name = label.partition(".")
    return f"{quoted(schema)}.{quoted(name)}"


def postgres_type(duckdb_type: str) -> str:
    """Return the Postgres type for a DuckDB type; lists and structs become jsonb."""
    if match := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", duckdb_type):
        return f"numeric({match[1]},{match[2]})"
    if duckdb_type.startswith("TIMESTAMP") and duckdb_type not in _TYPES:
        return "timestamp"
    return _TYPES.get(duckdb_type, "jsonb")


def as_shown(kind: str) -> str:
    """Return a type as Postgres shows it."""
    return {
        "timestamptz": "timestamp with time zone",
        "timestamp": "timestamp without time zone",
        "time": "time without time zone",
    }.get(kind, kind)


def as_csv(content: Content, columns: Sequence[Column], rows: str) -> Iterator[bytes]:
    """Yield the rows of a FROM item as CSV, in which only a null is empty without quotes."""
    import pyarrow.csv

    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    select = f"select {', '.join(map(as_text, columns))} from {rows}"
    with content.connection.cursor() as cursor:
        for batch in cursor.execute(select).fetch_record_batch(_BATCH_ROWS):
            sink = io.BytesIO()
            pyarrow.csv.write_csv(batch, sink, options)
            yield sink.getvalue()


def as_text(column: Column) -> str:
    """SQL: a value as Postgres reads it. It cannot store U+0000, neither as it is nor in JSON; U+FFFD stands for it."""
    name = quoted(column.name)
    kind = postgres_type(column.type)
    if kind == "text":
        return f"replace({name}, chr(0), chr(65533))"
    if kind == "jsonb":
        return json_text(column)
    if kind == "bytea":
        return rf"'\x' || hex({name})"
    return f"{name}::varchar"

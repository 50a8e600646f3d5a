"""Writes tables as Parquet files: one file, or for a large table files of a million rows or of a month each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb

from pipelines.sql import literal, quoted
from pipelines.targets.content import Table
from pipelines.targets.parquet_pointer import Part

LARGE_ROWS = 1_000_000
"""Tables with more rows have several files."""
WHOLE = "rows"
"""Name of the part of a table that has no months."""
_GROUP_ROWS = 122_880
"""Rows of a row group, DuckDB's default."""
_DAYS = (
    *("local_day", "date_day", "day", "entry_date", "claim_date", "created_date", "change_date"),
    *("entry_at", "applied_at", "created_at", "occurred_at", "claimed_at", "received_at", "valid_from"),
)
"""Columns by whose month a large table is split: the first of these that it has as a date or a time."""


def folder_of(table: Table) -> str:
    """Return the folder of a table, such as `marts/dim_member`, or `rivo_raw/quarantine_` for `rivo_raw._quarantine`.

    Spark ignores files and folders whose names begin with an underscore or a full stop.
    """
    plain = table.name.lstrip("_.")
    return f"{table.schema}/{plain}{'_' * (len(table.name) - len(plain))}"


def parts_of(connection: duckdb.DuckDBPyConnection, table: Table) -> list[Part]:
    """Return the parts of a table, each with its fingerprint and without files."""
    whole = Part(WHOLE, table.rows, table.fingerprint)
    if table.rows <= LARGE_ROWS or month_of(table) is None:
        return [whole]
    names = ", ".join(quoted(column.name) for column in table.columns)
    found = connection.execute(
        f"select coalesce({month_of(table)}, {literal(WHOLE)}), count(*), sum(hash({names})::hugeint)::varchar "
        f"from {table.source} group by 1 order by 1"
    ).fetchall()
    about = repr((table.columns, table.comment, table.key))
    return [
        Part(name, rows, hashlib.md5(f"{about}{rows} {content}".encode(), usedforsecurity=False).hexdigest())
        for name, rows, content in found
    ]


def month_of(table: Table) -> str | None:
    """Return SQL for the month of a row, such as 2026-09; None for a table without an obvious day or time."""
    kinds = {column.name: column.type for column in table.columns}
    for name in _DAYS:
        kind = kinds.get(name, "")
        if kind == "DATE" or kind.startswith("TIMESTAMP"):
            return f"strftime({quoted(name)}, '%Y-%m')"
    return None


def write_part(
    connection: duckdb.DuckDBPyConnection, table: Table, part: Part, folder: Path
) -> Iterator[tuple[str, Path]]:
    """Write a part into an empty folder, and yield the name that each file is to have, and the file."""
    rows = table.source
    if part.name != WHOLE:
        rows = f"(from {rows} where {month_of(table)} = {literal(part.name)})"
    elif table.rows > LARGE_ROWS and part.rows != table.rows:
        rows = f"(from {rows} where {month_of(table)} is null)"
    write_rows(connection, rows, folder / "rows", _described(table))
    for number, file in enumerate(sorted((folder / "rows").iterdir()), 1):
        yield f"{part.name}-{number:03}.parquet", file


def write_rows(
    connection: duckdb.DuckDBPyConnection, rows: str, folder: Path, described: dict[str, str]
) -> None:
    """Write the rows of an SQL relation into files of about a million rows in a new folder."""
    metadata = ", ".join(f"{quoted(key)}: {literal(text)}" for key, text in described.items())
    connection.execute(
        f"copy (from {rows}) to {literal(str(folder))} (format parquet, compression zstd, "
        f"row_group_size {_GROUP_ROWS}, row_groups_per_file {max(1, LARGE_ROWS // _GROUP_ROWS)}, "
        f"kv_metadata {{{metadata}}})"
    )


def _described(table: Table) -> dict[str, str]:
    columns = {column.name: column.comment for column in table.columns if column.comment}
    return descriptions(table.relation, table.comment, columns)


def descriptions(relation: str, comment: str | None, columns: dict[str, str]) -> dict[str, str]:
    """Return the key-value metadata of a file."""
    return {
        "rivo.table": relation,
        "rivo.description": comment or "",
        "rivo.columns": json.dumps(columns, ensure_ascii=False),
    }


def with_files(part: Part, files: list[str]) -> Part:
    """Return a part with the keys of its files."""
    return replace(part, files=tuple(files))

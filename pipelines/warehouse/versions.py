"""Versions in the history of a list (SCD2): the hash that distinguishes them."""

from __future__ import annotations

import duckdb

from pipelines.rivo.columns import Endpoint
from pipelines.sql import quoted
from pipelines.warehouse.raw_tables import RAW, history_name


def version(endpoint: Endpoint) -> str:
    """Return SQL for the tracked values of a row as one text, of which `_row_version` is the MD5 hash.

    The text is built value by value, so that it does not depend on how a DuckDB release formats a whole row. Each value
    is preceded by its length, so that two neighbouring texts cannot be confused with others.
    """
    texts = [f"{quoted(name)}::varchar" for name in ("id", *endpoint.history)]
    return " || ".join(f"coalesce(strlen({text}) || ':' || {text}, '-')" for text in texts)


def stamp_versions(connection: duckdb.DuckDBPyConnection, endpoint: Endpoint) -> None:
    """Hash every version again after its values were rewritten, so that the next sync sees no change."""
    connection.execute(f"update {RAW}.{history_name(endpoint)} set _row_version = md5({version(endpoint)})")


def drop_empty_versions(connection: duckdb.DuckDBPyConnection, endpoint: Endpoint) -> None:
    """Delete versions that ended when they began: of two syncs within a second, the later one counts."""
    connection.execute(f"delete from {RAW}.{history_name(endpoint)} where valid_to <= valid_from")

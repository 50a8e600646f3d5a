"""The versions in a list's history (SCD2): how one is told from the next."""

from __future__ import annotations

import duckdb

from pipelines.rivo.columns import Endpoint
from pipelines.warehouse.raw_tables import RAW, history_name


def version(endpoint: Endpoint) -> str:
    """SQL: the tracked values of a row as one text, of which `_row_version` is the MD5 hash.

    Spelled out value by value: a version must not depend on how a release formats a whole row. The lengths keep
    two neighbouring texts apart, whatever stands in them.
    """
    texts = [f'"{name}"::varchar' for name in ("id", *endpoint.history)]
    return " || ".join(f"coalesce(strlen({text}) || ':' || {text}, '-')" for text in texts)


def stamp_versions(connection: duckdb.DuckDBPyConnection, endpoint: Endpoint) -> None:
    """Hash every version anew after its values were rewritten, so that the next sync sees no change in them."""
    connection.execute(f"update {RAW}.{history_name(endpoint)} set _row_version = md5({version(endpoint)})")


def drop_empty_versions(connection: duckdb.DuckDBPyConnection, endpoint: Endpoint) -> None:
    """Remove versions that ended when they began: of two syncs within a second, the second one's view holds."""
    connection.execute(f"delete from {RAW}.{history_name(endpoint)} where valid_to <= valid_from")

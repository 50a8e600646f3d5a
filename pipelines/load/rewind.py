"""Repairs a warehouse that was synced while the API's clock was ahead: later times become the present one."""

from __future__ import annotations

from datetime import datetime

import duckdb

from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.sql import quoted, scalar
from pipelines.warehouse import RAW
from pipelines.warehouse.raw_tables import raw_tables
from pipelines.warehouse.versions import drop_empty_versions

_OURS = ("_first_seen_at", "_last_seen_at", "_deleted_at", "valid_from", "valid_to", "observed_at")
"""The columns that hold observation times; all others hold values from Rivo."""


def rewind(connection: duckdb.DuckDBPyConnection, now: datetime) -> int:
    """Date everything that was observed after `now` to `now`; earlier observations stay as they are.

    A version that began and ended after `now` is deleted, since no time is left for it.

    Returns:
        the number of rows of `sync_log` that were dated after `now`.
    """
    later = scalar(connection, f"select count(*) from {RAW}.sync_log where observed_at > ?", [now])
    for table, (_, columns) in raw_tables().items():
        for column in columns:
            if column.name in _OURS:
                connection.execute(
                    f"update {RAW}.{quoted(table)} set {quoted(column.name)} = $now where {quoted(column.name)} > $now",
                    {"now": now},
                )
    for endpoint in ENDPOINTS.values():
        if endpoint.history:
            drop_empty_versions(connection, endpoint)
    return int(later)

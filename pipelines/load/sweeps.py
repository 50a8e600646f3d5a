"""When a list was last read completely. Apart from the code that reads, since `rivo status` needs only this."""

from __future__ import annotations

from datetime import datetime

import duckdb

from pipelines.rivo.columns import Endpoint
from pipelines.sql import literal
from pipelines.warehouse import RAW


def last_sweep(connection: duckdb.DuckDBPyConnection, endpoint: Endpoint) -> datetime | None:
    """Return when a list was last read completely; None if never, or if RIVO_PII has changed since."""
    # A file that an older release published has no column reread_since.
    settings = f"(from {RAW}.settings union all by name select null::timestamptz as reread_since)"
    # No parameter for the name: DuckDB imports pandas to bind one, which takes longer than all of `rivo status`.
    row = connection.execute(
        f"select max(observed_at) from {RAW}.sync_log "
        f"where list = {literal(endpoint.name)} and complete and kind = 'full' "
        f"and observed_at > coalesce((select max(reread_since) from {settings}), '-infinity'::timestamptz)"
    ).fetchone()
    return row[0] if row else None

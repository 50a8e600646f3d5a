"""Histories: the rows of a list as they are now -> their versions (SCD2) on observation times."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.load.merge import run_pipeline
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.types import dlt_hints
from pipelines.sql import exists, quoted, scalar
from pipelines.warehouse import RAW, Build
from pipelines.warehouse.raw_tables import history_columns, history_name
from pipelines.warehouse.versions import drop_empty_versions, version

if TYPE_CHECKING:
    from dlt.common.schema.typing import TScd2StrategyDict
    from dlt.extract import DltResource


def keep_history(build: Build, endpoint: Endpoint, observed_at: datetime) -> None:
    """Bring the SCD2 history of a list up to its raw table: changed rows get a version, absent ones end."""
    table = f"{RAW}.{history_name(endpoint)}"
    names = ", ".join(map(quoted, ("id", *endpoint.history)))
    present = (
        f"select {names}, md5({version(endpoint)}) as _row_version "
        f"from {RAW}.{endpoint.name} where _deleted_at is null"
    )
    with build.connection.cursor() as cursor:
        if not exists(cursor, f"from {table}"):
            # With no version to close there is nothing to merge.
            cursor.execute(
                f"insert into {table} by name "
                f"select *, $at::timestamptz as valid_from, null::timestamptz as valid_to from ({present})",
                {"at": observed_at},
            )
        elif scalar(cursor, _differs_from_history(table, present)):
            rows = cursor.execute(present).to_arrow_table()
            run_pipeline(build, history_resource(endpoint, rows, observed_at))
            drop_empty_versions(build.connection, endpoint)


def history_resource(endpoint: Endpoint, rows: pa.Table, observed_at: datetime) -> DltResource:
    """Return the dlt resource of a list's history: dlt's `scd2` on our own row version.

    Args:
        endpoint: the list.
        rows: all rows that are there now: id, the tracked columns, `_row_version`.
        observed_at: when versions begin and end.
    """
    # Imported here, since most nights no history changes.
    import dlt

    columns = [column for column in history_columns(endpoint) if not column.name.startswith("valid_")]
    versions: TScd2StrategyDict = {
        "disposition": "merge",
        "strategy": "scd2",
        "row_version_column_name": "_row_version",
        "validity_column_names": ["valid_from", "valid_to"],
        "boundary_timestamp": observed_at.isoformat(),
    }
    return dlt.resource(
        [rows],
        name=history_name(endpoint),
        primary_key="id",
        columns={column.name: dlt_hints(column) for column in columns},
        write_disposition=versions,
    )


def _differs_from_history(table: str, present: str) -> str:
    """SQL: whether any row has no open version, or any open version no row."""
    return f"""
        with present as (select _row_version from ({present})),
        open_versions as (select _row_version from {table} where valid_to is null)
        select
            exists (from present anti join open_versions using (_row_version))
            or exists (from open_versions anti join present using (_row_version))
        """

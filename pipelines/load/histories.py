"""Histories: what Rivo shows of a list today -> its versions (SCD2) on observation times."""

from __future__ import annotations

from datetime import datetime

from pipelines.load.merge import run_dlt
from pipelines.rivo.columns import Endpoint
from pipelines.warehouse import RAW, Build
from pipelines.warehouse.raw_tables import HISTORY_META, history_name
from pipelines.warehouse.versions import drop_empty_versions, version


def keep_history(build: Build, endpoint: Endpoint, observed_at: datetime) -> None:
    """Bring the SCD2 history of a list up to its raw table: changed rows get a version, absent ones end."""
    tracked = {column.name: column for column in endpoint.columns}
    columns = [tracked["id"], *(tracked[name] for name in endpoint.history)]
    names = ", ".join(f'"{c.name}"' for c in columns)
    present = (
        f"select {names}, md5({version(endpoint)}) as _row_version "
        f"from {RAW}.{endpoint.name} where _deleted_at is null"
    )
    name = history_name(endpoint)
    cursor = build.connection.cursor()
    if not cursor.execute(f"select exists (from {RAW}.{name})").fetchall()[0][0]:
        # With no version to close there is nothing to merge.
        first = f"select *, $at::timestamptz as valid_from, null::timestamptz as valid_to from ({present})"
        cursor.execute(f"insert into {RAW}.{name} by name {first}", {"at": observed_at})
        return
    if not _differs_from_history(build, endpoint, present):
        return
    run_dlt(
        build,
        name,
        iter([cursor.execute(present).to_arrow_table()]),
        (*columns, *HISTORY_META[:1]),
        {
            "disposition": "merge",
            "strategy": "scd2",
            "row_version_column_name": "_row_version",
            "validity_column_names": ["valid_from", "valid_to"],
            "boundary_timestamp": observed_at.isoformat(),
        },
    )
    drop_empty_versions(build.connection, endpoint)


def _differs_from_history(build: Build, endpoint: Endpoint, present: str) -> bool:
    row = build.connection.execute(
        f"""
        with present as (select _row_version from ({present})),
        open_versions as (
            select _row_version from {RAW}.{history_name(endpoint)} where valid_to is null
        )
        select
            exists (from present anti join open_versions using (_row_version))
            or exists (from open_versions anti join present using (_row_version))
        """
    ).fetchone()
    return bool(row and row[0])

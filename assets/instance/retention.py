"""Deletes old runs from Dagster's storage: each sync adds some six megabytes of events, and Dagster keeps them all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

from assets.instance.private import add_run_tags

OURS = {"rivo-warehouse/run": "true"}
"""Tag of every run of these assets. The storage may be shared with other projects, whose runs must stay."""
_MOST_DELETED = 20
"""Runs deleted by one sync. More would delay the first sync that deletes years of runs; the next sync continues."""
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def delete_old_runs(
    instance: dg.DagsterInstance, run_id: str, keys: Sequence[dg.AssetKey], keep_days: int
) -> int:
    """Tag the current run as one of this project, and delete this project's runs older than `keep_days` days.

    Deletes the oldest runs first, and never one that holds the last materialization of an asset in `keys`, with
    several shops that of each shop. With 0 days, deletes none.

    Returns:
        the number of runs deleted.
    """
    add_run_tags(instance, run_id, OURS)
    if not keep_days:
        return 0
    before = datetime.now(UTC) - timedelta(days=keep_days)
    old = dg.RunsFilter(tags=OURS, statuses=_ENDED, created_before=before)
    if not instance.get_runs(old, limit=1):
        return 0
    needed = _last_materializations(instance, keys)
    oldest = instance.get_runs(old, limit=_MOST_DELETED + len(needed), ascending=True)
    deleted = [run.run_id for run in oldest if run.run_id not in needed][:_MOST_DELETED]
    for run_id in deleted:
        instance.delete_run(run_id)
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        # Dagster deletes these rows only when it wipes their asset.
        with storage.index_connection() as connection:
            connection.execute(
                AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id.in_(deleted))
            )
    return len(deleted)


def _last_materializations(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]) -> set[str]:
    """Return the ids of the runs in which the assets were last made: each partition of an asset, or all of it."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        entries = [record.asset_entry for record in instance.get_asset_records(keys)]
        return {entry.last_materialization.run_id for entry in entries if entry.last_materialization}
    # Dagster's record of an asset names one materialization, whatever partition it was of.
    events = SqlEventLogStorageTable.c
    last = (
        sa.select(sa.func.max(events.id))
        .where(
            events.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            events.asset_key.in_([key.to_string() for key in keys]),
        )
        .group_by(events.asset_key, events.partition)
    )
    with storage.index_connection() as connection:
        return set(connection.scalars(sa.select(events.run_id).distinct().where(events.id.in_(last))))

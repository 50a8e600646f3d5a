"""Deletes old runs from Dagster's storage: each sync adds some six megabytes of events, and Dagster keeps them all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

from assets.instance.private import add_run_tags

_OURS = {"rivo-warehouse/run": "true"}
"""Tag of every run of these assets. The storage may be shared with other projects, whose runs must stay."""
_MOST_DELETED = 20
"""Runs deleted by one sync. More would delay the first sync that deletes years of runs; the next sync continues."""
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def delete_old_runs(
    instance: dg.DagsterInstance, run_id: str, keys: Sequence[dg.AssetKey], keep_days: int
) -> int:
    """Tag the current run as one of this project, and delete this project's runs older than `keep_days` days.

    Deletes the oldest runs first, and never one that holds the last materialization of an asset in `keys`. With 0
    days, deletes none.

    Returns:
        the number of runs deleted.
    """
    add_run_tags(instance, run_id, _OURS)
    if not keep_days:
        return 0
    old = instance.get_runs(
        dg.RunsFilter(
            tags=_OURS, statuses=_ENDED, created_before=datetime.now(UTC) - timedelta(days=keep_days)
        ),
        limit=_MOST_DELETED + len(keys),
        ascending=True,
    )
    if not old:
        return 0
    materializations = [
        record.asset_entry.last_materialization for record in instance.get_asset_records(keys)
    ]
    needed = {event.run_id for event in materializations if event}
    deleted = [run.run_id for run in old if run.run_id not in needed][:_MOST_DELETED]
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

"""Old runs leave Dagster's storage: each sync leaves some six megabytes of events there, and Dagster keeps all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

_OURS = {"rivo-warehouse/run": "true"}
"""On each run of these assets: a storage may be shared with other projects, whose runs are not ours to delete."""
_AT_ONCE = 20
"""So that a first time, with years of runs, does not hold up a sync; the next one goes on."""
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def delete_old_runs(
    instance: dg.DagsterInstance, run_id: str, keys: Sequence[dg.AssetKey], keep_days: int
) -> int:
    """Mark the present run as one of ours, and delete those of ours that are older than `keep_days` days.

    A run in which one of the assets `keys` was last materialized stays. The oldest go first, twenty at a time. With
    0 days all stay.

    Returns:
        how many runs were deleted.
    """
    instance.add_run_tags(run_id, _OURS)
    if not keep_days:
        return 0
    old = instance.get_runs(
        dg.RunsFilter(
            tags=_OURS, statuses=_ENDED, created_before=datetime.now(UTC) - timedelta(days=keep_days)
        ),
        limit=_AT_ONCE + len(keys),
        ascending=True,
    )
    if not old:
        return 0
    last = [record.asset_entry.last_materialization for record in instance.get_asset_records(keys)]
    needed = {event.run_id for event in last if event}
    going = [run.run_id for run in old if run.run_id not in needed][:_AT_ONCE]
    for each in going:
        instance.delete_run(each)
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        # Dagster forgets these only with their asset.
        with storage.index_connection() as connection:
            connection.execute(
                AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id.in_(going))
            )
    return len(going)

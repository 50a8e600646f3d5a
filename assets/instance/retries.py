"""What a run need not do again: Dagster's "re-execute from failure" goes on where the failed run ended."""

from __future__ import annotations

import dagster as dg
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, RESUME_RETRY_TAG

from assets.keys import raw_key
from pipelines.rivo.endpoints import ENDPOINTS


def landed_before(run: dg.DagsterRun, instance: dg.DagsterInstance) -> set[str]:
    """The lists that landed in the runs which this one goes on from; none where it begins anew.

    What a failed run landed is kept for the next one, whatever became of its models.
    """
    landed: set[str] = set()
    current: dg.DagsterRun | None = run
    while current and current.tags.get(RESUME_RETRY_TAG) == "true":
        parent = current.parent_run_id or current.tags.get(PARENT_RUN_ID_TAG)
        current = instance.get_run_by_id(parent) if parent else None
        if current is None:
            break
        records = instance.get_records_for_run(
            current.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        ).records
        keys = {record.asset_key for record in records}
        landed |= {name for name in ENDPOINTS if raw_key(name) in keys}
    return landed

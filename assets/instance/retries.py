"""Support for Dagster's "re-execute from failure": finds the lists that need not be read again."""

from __future__ import annotations

import dagster as dg
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, RESUME_RETRY_TAG

from assets.instance.private import PARTITION_TAG
from assets.keys import raw_key
from pipelines.rivo.endpoints import ENDPOINTS


def loaded_before(run: dg.DagsterRun, instance: dg.DagsterInstance) -> set[str]:
    """Return the lists that were loaded by the runs that this run resumes; none if it resumes no run.

    The lists that a failed run loaded are kept for the next run of the same shop, even if its models failed.
    """
    loaded: set[str] = set()
    current: dg.DagsterRun | None = run
    while current and current.tags.get(RESUME_RETRY_TAG) == "true":
        parent = current.parent_run_id or current.tags.get(PARENT_RUN_ID_TAG)
        current = instance.get_run_by_id(parent) if parent else None
        if current is None or current.tags.get(PARTITION_TAG) != run.tags.get(PARTITION_TAG):
            break
        records = instance.get_records_for_run(
            current.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        ).records
        keys = {record.asset_key for record in records}
        loaded |= {name for name in ENDPOINTS if raw_key(name) in keys}
    return loaded

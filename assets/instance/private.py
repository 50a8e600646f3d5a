"""Dagster's private functions and methods that the rest of the project needs; all other modules import them here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.storage.tags import PARTITION_NAME_TAG as PARTITION_TAG
from dagster._utils.schedules import cron_string_iterator, reverse_cron_string_iterator
from dagster._utils.warnings import suppress_dagster_warnings

__all__ = [
    "PARTITION_TAG",
    "add_run_tags",
    "check_target",
    "cron_ticks",
    "cron_ticks_before",
    "suppress_dagster_warnings",
]


def cron_ticks(start: datetime, cron: str, timezone: str) -> Iterator[datetime]:
    """Yield the times of a cron expression from `start` on, without end, as Dagster's daemon computes them."""
    yield from cron_string_iterator(start.timestamp(), cron, timezone)


def cron_ticks_before(end: datetime, cron: str, timezone: str) -> Iterator[datetime]:
    """Yield the times of a cron expression up to `end`, the latest first, as Dagster's daemon computes them."""
    yield from reverse_cron_string_iterator(end.timestamp(), cron, timezone)


def add_run_tags(instance: dg.DagsterInstance, run_id: str, tags: Mapping[str, str]) -> None:
    """Add tags to a run that is already in Dagster's storage."""
    instance.add_run_tags(run_id, tags)


def check_target(published: dg.EventLogRecord) -> AssetCheckEvaluationTargetMaterializationData:
    """Return the materialization that the result of a check is about, in Dagster's type."""
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=published.storage_id, run_id=published.run_id, timestamp=published.timestamp
    )

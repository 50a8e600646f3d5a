"""The jobs and the daily schedule."""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets.actions import GROUP as ACTIONS_GROUP
from assets.actions import apply_actions, retrieve_row
from assets.keys import PUBLISHED
from dbt_like_sql.runner import LAYERS
from dbt_like_sql.runner.project import SEEDS
from pipelines.settings import Settings
from pipelines.warehouse.action_tables import ACTIONS

_EVERYTHING = dg.AssetSelection.all() - dg.AssetSelection.groups("rivo_events", ACTIONS_GROUP, ACTIONS)
_MODELS = dg.AssetSelection.groups(SEEDS, *LAYERS) | dg.AssetSelection.assets(PUBLISHED)


daily_sync = dg.define_asset_job(
    "daily_sync",
    selection=_EVERYTHING,
    executor_def=dg.in_process_executor,
    description="Reads all lists, builds and checks the models that may have changed, and publishes the warehouse.",
)

full_sweep = dg.define_asset_job(
    "full_sweep",
    selection=_EVERYTHING,
    config={"ops": {"sync": {"config": {"full": True}}}},
    executor_def=dg.in_process_executor,
    description="The same as daily_sync, but reads every list from its first row. Daily syncs do this by themselves "
    "every RIVO_FULL_SWEEP_DAYS days. Run this job if rows seem to be missing.",
)

models_only = dg.define_asset_job(
    "models_only",
    selection=_MODELS,
    executor_def=dg.in_process_executor,
    description="Builds all models from the rows already in the warehouse, runs all checks, and publishes the "
    "warehouse, without a request to Rivo. Run this job after you change the SQL.",
)

JOBS: list[Any] = [daily_sync, full_sweep, models_only, apply_actions, retrieve_row]


def daily_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Return the daily schedule at RIVO_SYNC_CRON in RIVO_TIMEZONE."""
    return dg.ScheduleDefinition(
        name="daily_sync",
        job=daily_sync,
        cron_schedule=settings.sync_cron,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Runs daily_sync at RIVO_SYNC_CRON in RIVO_TIMEZONE.",
    )

"""What Dagster loads: needs no key, no network and no warehouse."""

from __future__ import annotations

import dagster as dg

from assets.lineage import rivo_specs
from assets.op import sync_assets
from dbt_like_sql import load_project
from pipelines.settings import Settings

_settings = Settings.load()

daily_sync = dg.define_asset_job(
    "daily_sync",
    selection=dg.AssetSelection.all(),
    executor_def=dg.in_process_executor,
    description="All seven lists, all models, all checks, then the warehouse is published.",
)

daily_schedule = dg.ScheduleDefinition(
    name="daily_sync",
    job=daily_sync,
    cron_schedule=_settings.sync_cron,
    execution_timezone=_settings.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="RIVO_SYNC_CRON in RIVO_TIMEZONE.",
)

defs = dg.Definitions(
    assets=[*rivo_specs(), sync_assets(load_project())],
    jobs=[daily_sync],
    schedules=[daily_schedule],
    executor=dg.in_process_executor,
)

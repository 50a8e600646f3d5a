"""The definitions that Dagster loads. Loading them needs no API key, no network and no warehouse."""

from __future__ import annotations

import dagster as dg

from assets.alerts import alert_on_run_failure
from assets.jobs import JOBS, daily_schedule
from assets.ops import sync_assets
from assets.sensors import event_sensors, event_specs
from assets.specs import rivo_specs
from dbt_like_sql.runner import load_project
from pipelines.settings import Settings

_settings = Settings.load()

defs = dg.Definitions(
    assets=[*rivo_specs(), *event_specs(), sync_assets(load_project())],
    jobs=JOBS,
    schedules=[daily_schedule(_settings)],
    sensors=[*event_sensors(_settings), alert_on_run_failure],
    executor=dg.in_process_executor,
)

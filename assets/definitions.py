"""The definitions that Dagster loads. Loading them needs no API key, no network and no warehouse."""

from __future__ import annotations

import dagster as dg

from assets.actions import action_assets, action_sensors, outbox_specs
from assets.alerts import alert_on_run_failure
from assets.jobs import JOBS, daily_schedule
from assets.ops import sync_assets
from assets.sensors import event_sensors, event_specs
from assets.specs import rivo_specs
from dbt_like_sql.runner import load_project
from pipelines.settings import Settings

_settings = Settings.load()
PROJECT = load_project()

defs = dg.Definitions(
    assets=[*rivo_specs(), *event_specs(), *outbox_specs(), sync_assets(PROJECT), action_assets(PROJECT)],
    jobs=JOBS,
    schedules=[daily_schedule(_settings)],
    sensors=[*event_sensors(_settings), *action_sensors(PROJECT), alert_on_run_failure],
    executor=dg.in_process_executor,
)

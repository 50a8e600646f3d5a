"""The definitions that Dagster loads. Loading them needs no API key, no network and no warehouse."""

from __future__ import annotations

import dagster as dg

from assets.actions import action_assets, action_sensors, outbox_specs
from assets.alerts import alert_on_run_failure
from assets.all_shops import all_shops_assets, all_shops_jobs, all_shops_sensors
from assets.freshness import freshness_checks, freshness_sensors
from assets.jobs import jobs, sync_schedules
from assets.ops import sync_assets
from assets.sensors import event_sensors, event_specs
from assets.shops import by_shop, shop_partitions
from assets.specs import rivo_specs, target_specs
from dbt_like_sql.runner import Project, load_project
from pipelines.settings import Settings

PROJECT = load_project()


def definitions(settings: Settings, project: Project) -> dg.Definitions:
    """Return all definitions; with several shops, the assets have a partition for each."""
    partitions = shop_partitions(settings)
    return dg.Definitions(
        assets=[
            *rivo_specs(),
            *by_shop([*event_specs(), *outbox_specs()], partitions),
            sync_assets(project, partitions, target_specs(settings)),
            action_assets(project, partitions),
            *all_shops_assets(partitions),
        ],
        asset_checks=freshness_checks(partitions),
        jobs=[*jobs(partitions), *all_shops_jobs(partitions)],
        schedules=sync_schedules(settings),
        sensors=[
            *event_sensors(settings),
            *action_sensors(project, partitions),
            *freshness_sensors(partitions),
            *all_shops_sensors(partitions),
            alert_on_run_failure,
        ],
        executor=dg.in_process_executor,
    )


defs = definitions(Settings.load(), PROJECT)

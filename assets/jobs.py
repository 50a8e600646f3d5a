"""The jobs and the schedules of syncs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from assets.actions import GROUP as ACTIONS_GROUP
from assets.actions import apply_actions, retrieve_job
from assets.all_shops import GROUP as ALL_SHOPS_GROUP
from assets.freshness import ON_TIME
from assets.keys import PUBLISHED_GROUP
from assets.schedule import SyncSchedule
from assets.shops import names_of_several, schedule_of, some_of
from dbt_like_sql.runner import LAYERS
from dbt_like_sql.runner.project import SEEDS
from pipelines.settings import Settings
from pipelines.warehouse.action_tables import ACTIONS

_SYNC = "daily_sync"
"""Name of the job, and of the schedule if there is one only."""


def jobs(partitions: dg.PartitionsDefinition[str] | None = None) -> list[Any]:
    """Return the jobs; with several shops, each run of a job is of one shop."""
    everything: dg.AssetSelection = dg.AssetSelection.all() - dg.AssetSelection.groups(
        "rivo_events", ACTIONS_GROUP, ACTIONS, ALL_SHOPS_GROUP
    )
    models: dg.AssetSelection = dg.AssetSelection.groups(SEEDS, *LAYERS, PUBLISHED_GROUP)
    if partitions:
        # A sensor evaluates it, and a run that fails must not take its last result away.
        everything, models = (each - dg.AssetSelection.checks(ON_TIME) for each in (everything, models))
    daily_sync = dg.define_asset_job(
        _SYNC,
        selection=everything,
        executor_def=dg.in_process_executor,
        description="Reads all lists, builds and checks the models that may have changed, and publishes the warehouse.",
    )
    full_sweep = dg.define_asset_job(
        "full_sweep",
        selection=everything,
        config={"ops": {"sync": {"config": {"full": True}}}},
        executor_def=dg.in_process_executor,
        description="The same as daily_sync, but reads every list from its first row. Daily syncs do this by "
        "themselves every RIVO_FULL_SWEEP_DAYS days. Run this job if rows seem to be missing.",
    )
    models_only = dg.define_asset_job(
        "models_only",
        selection=models,
        executor_def=dg.in_process_executor,
        description="Builds all models from the rows already in the warehouse, runs all checks, and publishes the "
        "warehouse, without a request to Rivo. Run this job after you change the SQL.",
    )
    return [daily_sync, full_sweep, models_only, apply_actions, retrieve_job(partitions)]


def sync_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Return the schedules of syncs: one for each distinct cron expression and time zone of the shops."""
    names = names_of_several(settings)
    if not names:
        return [
            _schedule(_SYNC, SyncSchedule(settings.of_shop("").sync_cron, settings.of_shop("").timezone), ())
        ]
    shops: dict[SyncSchedule, list[str]] = {}
    for name in names:
        shops.setdefault(schedule_of(settings, name), []).append(name)
    if len(shops) == 1:
        return [_schedule(_SYNC, schedule, of) for schedule, of in shops.items()]
    taken: dict[str, int] = {}
    schedules = []
    for schedule, of in shops.items():
        name = f"{_SYNC}_{_words(schedule)}"
        taken[name] = taken.get(name, 0) + 1
        schedules.append(_schedule(name if taken[name] == 1 else f"{name}_{taken[name]}", schedule, of))
    return schedules


def _schedule(name: str, schedule: SyncSchedule, shops: Sequence[str]) -> dg.ScheduleDefinition:
    when = f"at RIVO_SYNC_CRON in RIVO_TIMEZONE{f' for {some_of(shops)}' if shops else ''}"

    def one_run_a_shop(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        for shop in shops:
            yield dg.RunRequest(f"{shop} {context.scheduled_execution_time.isoformat()}", partition_key=shop)

    return dg.ScheduleDefinition(
        name=name,
        job_name=_SYNC,
        cron_schedule=schedule.cron,
        execution_timezone=schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Runs daily_sync {when}.",
        execution_fn=one_run_a_shop if shops else None,
    )


def _words(schedule: SyncSchedule) -> str:
    """Return a schedule as a part of a name: europe_berlin_0300."""
    fields = schedule.cron.lower().split()
    if fields[2:] == ["*", "*", "*"] and fields[0].isdigit() and fields[1].isdigit():
        time = f"{int(fields[1]):02}{int(fields[0]):02}"
    else:
        time = "_".join(fields)
        for sign, word in {"*": "x", "/": "by", "-": "to", ",": "and"}.items():
            time = time.replace(sign, word)
    zone = schedule.timezone.lower().replace("+", "plus")
    return re.sub(r"\W", "_", f"{zone}_{time}")

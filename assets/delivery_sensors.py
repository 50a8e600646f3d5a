"""A sensor for jobs of your own that run as soon as webhooks have arrived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from assets.shop_sensors import evaluate_shops
from pipelines.settings import Settings
from pipelines.webhooks.deliveries import Arrived, arrived, last_position
from runs.shop import shop_to_sync

EVERY_SECONDS = 3
"""Minimum interval of sensors that look at deliveries. Dagster's daemon looks at sensors every five seconds; with five
here, a tick that begins slightly early would wait for the next round."""
RunConfig = Callable[[Sequence[Arrived]], dict[str, Any] | None]


def delivery_sensor(
    name: str,
    job: Any,
    topics: str,
    run_config: RunConfig = lambda _deliveries: {},
    assets: Sequence[dg.AssetKey] | None = None,
) -> dg.SensorDefinition:
    """Return a sensor that runs a job when deliveries have arrived: one run for all that are new. Off by default.

    An asset sensor on `rivo_events/vip_tier_changed` looks five seconds later, but reports each change once, whether
    a webhook announced it or a sync found it.

    With several shops, each has a run of its own, in its partition: the job must be partitioned by
    `assets.shops.shop_partitions(Settings.load())`, as jobs of this project's assets are.

    Args:
        name: name of the sensor.
        job: the job to run.
        topics: beginning of the topics, such as "customer_vip_tier/".
        run_config: makes the configuration of the run from the deliveries: ids and times, no addresses. None for
            no run.
        assets: the part of the job to run; all of it by default.
    """

    @dg.sensor(
        name=name,
        job=job,
        description=f"Runs the job when webhooks about {topics} have arrived.",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
    )
    def evaluate_tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return evaluate_shops(context, evaluate)

    def evaluate(settings: Settings, cursor: str | None, partition: str | None) -> dg.SensorResult:
        warehouse = shop_to_sync(settings).warehouse
        latest = last_position(warehouse)
        if cursor is None:
            return dg.SensorResult(skip_reason="Deliveries are reported from now on.", cursor=str(latest))
        # The positions of a journal that was deleted begin at 1 again.
        since = int(cursor) if int(cursor) <= latest else 0
        new = [each for each in arrived(warehouse, topics, since) if each.position <= latest]
        if not new:
            return dg.SensorResult(skip_reason="No webhook has arrived.", cursor=str(latest))
        config = run_config(new)
        if config is None:
            return dg.SensorResult(skip_reason="No delivery is for this job.", cursor=str(latest))
        selection = list(assets) if assets else None
        request = dg.RunRequest(run_config=config, asset_selection=selection, partition_key=partition)
        return dg.SensorResult([request], cursor=str(latest))

    return evaluate_tick

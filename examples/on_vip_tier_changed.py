"""A job of your own that runs within seconds after a webhook about a VIP tier has arrived. This one only logs the ids.

Run `rivo serve webhooks` (docs/webhooks.md), add this file to `workspace.yaml`, reload the code locations, and turn on
the sensor `greet_at_once`:

    load_from:
      - python_module: {module_name: assets.definitions, location_name: rivo_warehouse}
      - python_file: {relative_path: examples/on_vip_tier_changed.py, location_name: mine}
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.delivery_sensors import delivery_sensor
from pipelines.webhooks.deliveries import Arrived


class TierChanges(dg.Config):
    """The customers whose tier has changed, and the tier of each."""

    customer_ids: list[int]
    vip_tier_ids: list[int]


@dg.op
def greet(context: dg.OpExecutionContext, config: TierChanges) -> None:
    """Log the ids. Replace the body with what your job does."""
    for customer_id, tier_id in zip(config.customer_ids, config.vip_tier_ids, strict=True):
        context.log.info(f"Customer {customer_id} has entered the tier {tier_id}.")


@dg.job(executor_def=dg.in_process_executor)
def greet_members() -> None:
    """Greet the members whose tier has changed."""
    greet()


def _config(deliveries: Sequence[Arrived]) -> dict[str, Any]:
    found = [each for each in deliveries if each.customer_id is not None and each.vip_tier_id is not None]
    config = {
        "customer_ids": [each.customer_id for each in found],
        "vip_tier_ids": [each.vip_tier_id for each in found],
    }
    return {"ops": {"greet": {"config": config}}}


greet_at_once = delivery_sensor("greet_at_once", greet_members, "customer_vip_tier/", _config)

defs = dg.Definitions(jobs=[greet_members], sensors=[greet_at_once])

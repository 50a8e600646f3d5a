"""Gives points to each member who reaches Gold, seconds after Rivo's webhook says so. Off by default.

The sensor starts the job `apply_actions` for the action `welcome_new_tier` with rows of its own. The action's kind, key
and limits apply, so that the daily apply does not welcome a member again. To use it, set `enabled: true` for the action
in dbt_like_sql/actions/_actions.yml, set GOLD to the id of your tier (`rivo query "from marts.dim_tier"`), run
`rivo serve webhooks` (docs/webhooks.md), name this file in `workspace.yaml` in place of `assets.definitions`, and turn
on the sensor `welcome_gold`:

    load_from:
      - python_file: {relative_path: examples/welcome_gold.py, location_name: rivo_warehouse}
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.actions import apply_actions
from assets.definitions import defs as rivo_warehouse
from assets.delivery_sensors import delivery_sensor
from pipelines.webhooks.deliveries import Arrived

GOLD = 552301
NOTE = "Welcome to Gold!"


def rows(deliveries: Sequence[Arrived]) -> dict[str, Any] | None:
    """Return the configuration of `apply_actions` for the members who reached Gold; None if none did."""
    members = {each.customer_id for each in deliveries if each.vip_tier_id == GOLD and each.customer_id}
    given = [
        {"customer_id": id, "tier_id": GOLD, "points_amount": 500, "external_note": NOTE}
        for id in sorted(members)
    ]
    return {"ops": {"actions": {"config": {"apply": True, "rows": given}}}} if given else None


ACTION = dg.AssetKey(["actions", "welcome_new_tier"])
welcome_gold = delivery_sensor("welcome_gold", apply_actions, "customer_vip_tier/", rows, [ACTION])

defs = dg.Definitions.merge(rivo_warehouse, dg.Definitions(sensors=[welcome_gold]))

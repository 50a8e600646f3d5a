"""A sensor that gives points to each member who reaches Gold, as soon as an event names the member. Off by default.

It starts the job `apply_actions` for the action `welcome_new_tier` with rows of its own: the action's kind, key and
limits apply, so that the daily apply does not welcome a member again. Set `enabled: true` for the action in
dbt_like_sql/actions/_actions.yml, set GOLD to the id of your tier (`rivo query "from marts.dim_tier"`), name this file
in `workspace.yaml`, and turn on the sensors `vip_tier_changed` and `welcome_gold`:

    load_from:
      - python_file: {relative_path: examples/welcome_gold.py, location_name: rivo_warehouse}
"""

from collections.abc import Iterator

import dagster as dg

from assets.definitions import defs as rivo_warehouse

GOLD = 552301
TIER_CHANGED = dg.AssetKey(["rivo_events", "vip_tier_changed"])


@dg.asset_sensor(
    asset_key=TIER_CHANGED, job_name="apply_actions", default_status=dg.DefaultSensorStatus.STOPPED
)
def welcome_gold(_context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> Iterator[dg.RunRequest]:
    """Run the action once for each event that names members who reached Gold."""
    materialization = event.asset_materialization
    assert materialization
    changes = materialization.metadata.get("changes")
    members = changes.value if changes else []
    assert isinstance(members, list)
    rows = [
        {
            "customer_id": change["customer_id"],
            "tier_id": GOLD,
            "points_amount": 500,
            "external_note": "Welcome to Gold!",
        }
        for change in members
        if change["vip_tier_id"] == GOLD
    ]
    if rows:
        yield dg.RunRequest(
            run_key=str(event.timestamp),
            asset_selection=[dg.AssetKey(["actions", "welcome_new_tier"])],
            run_config={"ops": {"actions": {"config": {"apply": True, "rows": rows}}}},
        )


defs = dg.Definitions.merge(rivo_warehouse, dg.Definitions(sensors=[welcome_gold]))

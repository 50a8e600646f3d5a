"""Run a job of your own when members earn points. This one only logs the counts.

Add this file to `workspace.yaml`, reload, and turn on the sensors `points_earned` and `tell_points_earned`:

    load_from:
      - python_module: {module_name: assets.definitions, location_name: rivo_warehouse}
      - python_file: {relative_path: examples/on_points_earned.py, location_name: mine}
"""

import dagster as dg

POINTS_EARNED = dg.AssetKey(["rivo_events", "points_earned"])


class PointsEarned(dg.Config):
    """Counts reported by the sensor."""

    events: int
    members: int
    points: int


@dg.op
def thank(context: dg.OpExecutionContext, config: PointsEarned) -> None:
    """Replace the body with your own action."""
    context.log.info(f"{config.members} members earned {config.points} points in {config.events} events.")


@dg.job
def thank_members() -> None:
    """Run once each time the sensor finds new events."""
    thank()


@dg.asset_sensor(asset_key=POINTS_EARNED, job=thank_members, default_status=dg.DefaultSensorStatus.STOPPED)
def tell_points_earned(_context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> dg.RunRequest:
    """Pass the counts of the materialization to the job."""
    materialization = event.asset_materialization
    assert materialization
    figures = {name: materialization.metadata[name].value for name in PointsEarned.model_fields}
    return dg.RunRequest(run_config={"ops": {"thank": {"config": figures}}})


defs = dg.Definitions(jobs=[thank_members], sensors=[tell_points_earned])

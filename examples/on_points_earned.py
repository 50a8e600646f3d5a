"""A job of your own that runs when members earned points. This one only logs the counts.

Add this file to `workspace.yaml`, reload the code locations, and turn on the sensors `points_earned` and
`tell_points_earned`:

    load_from:
      - python_module: {module_name: assets.definitions, location_name: rivo_warehouse}
      - python_file: {relative_path: examples/on_points_earned.py, location_name: mine}
"""

import dagster as dg

POINTS_EARNED = dg.AssetKey(["rivo_events", "points_earned"])


class PointsEarned(dg.Config):
    """The counts of one tick of the sensor `points_earned`."""

    events: int
    members: int
    points: int


@dg.op
def thank(context: dg.OpExecutionContext, config: PointsEarned) -> None:
    """Log the counts. Replace the body with what your job does."""
    context.log.info(f"{config.members} members earned {config.points} points in {config.events} events.")


@dg.job
def thank_members() -> None:
    """Thank the members who earned points."""
    thank()


@dg.asset_sensor(asset_key=POINTS_EARNED, job=thank_members, default_status=dg.DefaultSensorStatus.STOPPED)
def tell_points_earned(_context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> dg.RunRequest:
    """Run the job once for each materialization, with its metadata as configuration."""
    materialization = event.asset_materialization
    assert materialization
    counts = {name: materialization.metadata[name].value for name in PointsEarned.model_fields}
    return dg.RunRequest(run_config={"ops": {"thank": {"config": counts}}})


defs = dg.Definitions(jobs=[thank_members], sensors=[tell_points_earned])

"""The example of a job that the sensor `points_earned` triggers."""

from __future__ import annotations

import dagster as dg

from examples.on_points_earned import POINTS_EARNED, tell_points_earned, thank_members
from tests.assets.test_sensors import Ticks
from tests.harness.dagster import DagsterStore


def test_example_job_receives_the_counts_of_the_sensor(store: DagsterStore) -> None:
    context = dg.build_sensor_context(instance=store.instance, definitions=_definitions())
    assert tell_points_earned.evaluate_tick(context).run_requests == []
    ticks = Ticks(store, "points_earned")
    data = ticks.sensor.evaluate_tick(dg.build_sensor_context(instance=store.instance))
    [event] = data.asset_events
    assert isinstance(event, dg.AssetMaterialization)
    assert event.asset_key == POINTS_EARNED
    store.instance.report_runless_asset_event(event)

    [request] = tell_points_earned.evaluate_tick(context).run_requests or []

    result = thank_members.execute_in_process(run_config=request.run_config, instance=store.instance)
    assert result.success
    log = "\n".join(
        r.event_log_entry.user_message for r in store.instance.get_records_for_run(result.run_id).records
    )
    figures = {name: event.metadata[name].value for name in ("members", "points", "events")}
    assert (
        f"{figures['members']} members earned {figures['points']} points in {figures['events']} events."
        in log
    )


def _definitions() -> dg.Definitions:
    return dg.Definitions(jobs=[thank_members], sensors=[tell_points_earned])

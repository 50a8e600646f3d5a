"""The examples of jobs that the sensor `points_earned` and deliveries of webhooks trigger."""

from __future__ import annotations

from typing import Any

import dagster as dg

from examples.on_points_earned import POINTS_EARNED, tell_points_earned, thank_members
from examples.on_vip_tier_changed import greet_at_once, greet_members
from pipelines.settings import Settings
from sandbox import Event
from tests.assets.test_sensors import Ticks
from tests.harness.dagster import DagsterStore
from tests.harness.deliveries import keep


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


def test_example_job_runs_once_for_the_deliveries_that_arrived(store: DagsterStore) -> None:
    definitions = dg.Definitions(jobs=[greet_members], sensors=[greet_at_once])

    def tick(cursor: str | None) -> Any:
        context = dg.build_sensor_context(instance=store.instance, definitions=definitions, cursor=cursor)
        return greet_at_once.evaluate_tick(context)

    def event(topic: str, customer: int) -> Event:
        return Event(
            topic, {"vip_tier_id": 552_288, "customer": {"id": customer, "email": "ada@shop.example"}}
        )

    keep(store.path, Settings.load(), [event("customer_vip_tier/upgraded", 1)])
    first = tick(None)
    assert not first.run_requests, "what arrived before the sensor was turned on is not reported"
    up, down, other = (
        event(topic, customer)
        for topic, customer in (
            ("customer_vip_tier/upgraded", 7_198_630_248_648),
            ("customer_vip_tier/downgraded", 7_198_630_248_649),
            ("points_event/created", 7_198_630_248_650),
        )
    )
    keep(store.path, Settings.load(), [up, down, other, up])

    second = tick(first.cursor)

    [request] = second.run_requests or []
    assert "ada@shop.example" not in str(request)
    assert not tick(second.cursor).run_requests
    result = greet_members.execute_in_process(run_config=request.run_config, instance=store.instance)
    assert result.success
    records = store.instance.get_records_for_run(result.run_id).records
    log = "\n".join(record.event_log_entry.user_message for record in records)
    assert "Customer 7198630248648 has entered the tier 552288." in log
    assert "Customer 7198630248649 has entered the tier 552288." in log
    assert "7198630248650" not in log


def _definitions() -> dg.Definitions:
    return dg.Definitions(jobs=[thank_members], sensors=[tell_points_earned])

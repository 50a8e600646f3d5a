"""Actions in Dagster: planned by default, applied by the job apply_actions, after an event by a sensor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from assets.actions import action_assets, action_key, action_sensors, apply_actions, retrieve_job
from assets.definitions import defs
from assets.sensors import event_key
from dbt_like_sql.runner import Project, load_project
from dbt_like_sql.runner.actions import ACTION_KINDS, TRIGGERS
from examples import welcome_gold
from pipelines.actions.kinds import KINDS
from pipelines.webhooks.deliveries import Arrived
from tests.assets.test_sensors import NAMES
from tests.harness.actions import fixed_reward
from tests.harness.dagster import DagsterStore

NAME = "win_back_at_risk"


def enabled(*names: str, **changes: Any) -> Project:
    """Return the project with these actions enabled, and changed."""
    project = load_project()
    actions = {
        name: replace(action, enabled=True, **changes) if name in names else action
        for name, action in project.actions.items()
    }
    return replace(project, actions=actions)


def run(store: DagsterStore, project: Project, *names: str, **config: Any) -> dg.ExecuteInProcessResult:
    definitions = dg.Definitions(assets=[action_assets(project)], jobs=[apply_actions])
    return definitions.resolve_job_def("apply_actions").execute_in_process(
        instance=store.instance,
        asset_selection=[action_key(name) for name in names] or None,
        run_config={"ops": {"actions": {"config": {"apply": True, **config}}}},
        raise_on_error=False,
    )


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    [event] = result.asset_materializations_for_node("actions")
    assert event.asset_key == action_key(name)
    return {name: value.value for name, value in event.metadata.items()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    failed: list[Any] = [event.event_specific_data for event in result.all_events if event.is_step_failure]
    return "\n".join(data.error.message for data in failed)


def test_names_of_the_runner_are_those_of_the_other_packages() -> None:
    assert set(ACTION_KINDS) == set(KINDS)
    assert set(TRIGGERS) == set(NAMES)


def test_apply_sends_within_the_limits_once(store: DagsterStore) -> None:
    project = enabled(NAME, limits={"per_run": {"max_rows": 3}})
    first, second = run(store, project), run(store, project)
    assert first.success
    figures = metadata(first, NAME)
    assert (figures["to_send"], figures["done"], figures["points"]) == (3, 3, 300)
    assert figures["reasons"] == {"per_run max_rows 3": figures["held_back"]}
    assert metadata(second, NAME)["done_before"] == 3
    notes = [row["attributes"].get("external_note") for row in store.objects("points_events").values()]
    assert notes.count("We miss you: 100 points for you") == 6


def test_materializing_without_apply_only_plans(store: DagsterStore) -> None:
    before = len(store.objects("points_events"))
    result = run(store, enabled(NAME), NAME, apply=False)
    assert result.success
    [observed] = result.get_asset_observation_events()
    planned: Any = observed.asset_observation_data.asset_observation.metadata["to_send"].value
    assert planned > 0
    assert len(store.objects("points_events")) == before


def test_disabled_action_is_refused_when_it_is_asked_for_alone(store: DagsterStore) -> None:
    result = run(store, load_project(), NAME)
    assert not result.success
    assert f"{NAME} is disabled" in failure(result)
    assert run(store, load_project()).success, "all of them together"


def test_rows_of_a_sensor_replace_those_of_the_select(store: DagsterStore) -> None:
    member = next(
        id
        for id, row in store.objects("customers").items()
        if row["attributes"]["loyalty_status"] == "member"
    )
    row = {"customer_id": member, "quarter": "2026-Q4", "points_amount": 7, "external_note": "from a sensor"}
    result = run(store, enabled(NAME), NAME, rows=[row])
    assert metadata(result, NAME)["done"] == 1
    both = run(store, enabled(NAME, "welcome_new_tier"), rows=[row])
    assert "rows are for one action" in failure(both)
    personal = run(store, enabled(NAME), NAME, rows=[row | {"email": "ann@example.com"}])
    assert "rows must not have email" in failure(personal)


def test_what_rivo_refuses_fails_the_run_with_a_sentence(store: DagsterStore) -> None:
    store.server.faults = "http_401"
    result = run(store, enabled(NAME), NAME)
    assert not result.success
    assert "Rivo refused the key (401)" in failure(result)


@pytest.mark.parametrize("name", [f"apply_{a.name}" for a in load_project().actions.values() if a.trigger])
def test_sensor_runs_its_action_after_an_event(name: str, store: DagsterStore) -> None:
    [sensor] = [each for each in action_sensors(load_project()) if each.name == name]
    assert defs.resolve_sensor_def(name).default_status == dg.DefaultSensorStatus.STOPPED
    action = next(a for a in load_project().actions.values() if name == f"apply_{a.name}")
    context = dg.build_sensor_context(instance=store.instance, definitions=defs)
    assert sensor.evaluate_tick(context).run_requests == []
    store.instance.report_runless_asset_event(dg.AssetMaterialization(event_key(str(action.trigger))))
    [request] = sensor.evaluate_tick(context).run_requests or []
    assert request.asset_selection == [action_key(action.name)]


def test_retrieve_shows_a_row_without_personal_values(store: DagsterStore) -> None:
    customer = next(iter(store.objects("customers").values()))["attributes"]
    for name, id in (("customers", customer["id"]), ("vip_tiers", next(iter(store.objects("vip_tiers"))))):
        config = {"ops": {"ask": {"config": {"list_name": name, "id": id}}}}
        result = retrieve_job().execute_in_process(instance=store.instance, run_config=config)
        [event] = [each for each in result.all_events if each.event_type_value == "ASSET_OBSERVATION"]
        text = str(event.asset_observation_data.asset_observation.metadata)
        assert str(id) in text
        assert customer["email"] not in text
    config = {"ops": {"ask": {"config": {"list_name": "customers", "id": 1}}}}
    result = retrieve_job().execute_in_process(
        instance=store.instance, run_config=config, raise_on_error=False
    )
    assert "Rivo has no customer '1'" in failure(result)


def test_key_and_addresses_do_not_reach_dagsters_storage(store: DagsterStore) -> None:
    run(store, enabled(NAME, limits={"per_run": {"max_rows": 2}}), NAME)
    files = [path for path in (store.folder / "dagster").rglob("*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in files)
    assert NAME.encode() in content
    assert store.server.key.encode() not in content
    for customer in store.objects("customers").values():
        if address := customer["attributes"]["email"]:
            assert address.encode() not in content


def test_example_welcomes_members_who_reached_gold_once(store: DagsterStore) -> None:
    member, other = [
        id
        for id, row in store.objects("customers").items()
        if row["attributes"]["loyalty_status"] == "member"
    ][:2]
    at = "2026-10-05T06:00:00+00:00"
    deliveries = [
        Arrived(1, "customer_vip_tier/upgraded", member, welcome_gold.GOLD, at),
        Arrived(2, "customer_vip_tier/upgraded", member, welcome_gold.GOLD, at),
        Arrived(3, "customer_vip_tier/upgraded", other, 1, at),
    ]
    config = welcome_gold.rows(deliveries)
    assert config
    assert welcome_gold.rows(deliveries[2:]) is None
    given = config["ops"]["actions"]["config"]["rows"]
    for _ in range(2):
        assert run(store, enabled("welcome_new_tier"), "welcome_new_tier", rows=given).success
    notes = [row["attributes"].get("external_note") for row in store.objects("points_events").values()]
    assert notes.count(welcome_gold.NOTE) == 1
    sensor = welcome_gold.defs.resolve_sensor_def("welcome_gold")
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED


def test_every_kind_of_call_works_in_dagster(store: DagsterStore) -> None:
    people = [row["attributes"] for row in store.objects("customers").values()]
    members = [row for row in people if row["loyalty_status"] == "member"]
    customer = max(members, key=lambda row: row["points_tally"])
    advocate = next(row for row in members if row["id"] != customer["id"])
    reward = fixed_reward(store)
    tier = next(id for id in store.objects("vip_tiers") if id != (customer["vip_tier"] or {}).get("id"))
    # Values that identify a person come from a SELECT, not from the config of a run.
    selects = {
        "redeem_reward": f"select {customer['id']} as customer_id, {reward} as reward_id",
        "create_referral": "select 'friend@example.com' as email, "
        f"'{advocate['referral_code']}' as referral_code, '203.0.113.77' as remote_ip",
        "update_customer": f"select {customer['id']} as customer_id, '02-29' as dob",
        "set_vip_tier": f"select {customer['id']} as customer_id, {tier} as vip_tier_id",
    }
    for kind, code in selects.items():
        result = run(store, enabled(NAME, action=kind, key=(), code=code), NAME)
        assert (kind, failure(result)) == (kind, "")
        assert metadata(result, NAME)["done"] == 1
    redemption = max(store.objects("points_redemptions"))
    refund = enabled(NAME, action="refund_redemption", key=("redemption_id",))
    assert metadata(run(store, refund, NAME, rows=[{"redemption_id": redemption}]), NAME)["done"] == 1
    now = store.objects("customers")[customer["id"]]["attributes"]
    assert (now["dob"], now["vip_tier"]["id"]) == ("02-29", tier)
    assert store.objects("points_redemptions")[redemption]["attributes"]["refunded_at"]
    assert max(store.objects("referrals").items())[1]["attributes"]["referred_email"] == "friend@example.com"

"""The Dagster UI after a sync: pages show lineage, pictures and checks, and runs can be started."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.ui.conftest import SHOWN_MILLISECONDS, DagsterUI

RUN_SECONDS = 300
RUNS = "{ runsOrError { ... on Runs { results { runId jobName status } } } }"
ACTION_SENSOR = "apply_welcome_new_tier"
START_SENSOR = """mutation($selector: SensorSelector!) {
    startSensor(sensorSelector: $selector) { ... on Sensor { id sensorState { id status } } }
}"""
STOP_SENSOR = """mutation($id: String!) {
    stopSensor(id: $id) { ... on StopSensorMutationResult { instigationState { status } } }
}"""
REPORT_EVENT = """mutation($parameters: ReportRunlessAssetEventsParams!) {
    reportRunlessAssetEvents(eventParams: $parameters) { ... on ReportRunlessAssetEventsSuccess { assetKey { path } } }
}"""
SCHEMAS = ("rivo", "rivo_raw", "staging", "intermediate", "marts", "reports", "published")


def show(ui: DagsterUI, page: Page, path: str) -> None:
    page.goto(ui.url + path)


def keep(ui: DagsterUI, page: Page, name: str) -> None:
    page.screenshot(path=str(ui.pictures / f"{name}.png"))


def run_started_by(ui: DagsterUI, page: Page) -> str:
    """Press Materialize, wait for the end of the run, and return its id."""
    before = {run["runId"] for run in runs(ui)}
    page.locator("button", has_text=re.compile(r"^Materialize$")).first.click()
    return run_after(ui, before)


def run_after(ui: DagsterUI, before: set[str]) -> str:
    """Wait for the end of a run that is not one of `before`, and return its id."""
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        new = [run for run in runs(ui) if run["runId"] not in before]
        if new and new[0]["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
            return str(new[0]["runId"])
        time.sleep(0.5)
    raise AssertionError(f"No run ended within {RUN_SECONDS} s.")


def runs(ui: DagsterUI) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ui.ask(RUNS)["runsOrError"]["results"]
    return found


def status(ui: DagsterUI, run_id: str) -> str:
    return next(str(run["status"]) for run in runs(ui) if run["runId"] == run_id)


def test_asset_graph_shows_every_layer(ui: DagsterUI, page: Page) -> None:
    show(ui, page, "/asset-groups")

    graph = page.locator("svg foreignObject")
    for schema in SCHEMAS:
        expect(graph.get_by_text(schema, exact=True).first).to_be_in_viewport()
    keep(ui, page, "graph")


def test_list_page_links_to_its_documentation(ui: DagsterUI, page: Page) -> None:
    show(ui, page, "/assets/rivo/customers")

    expect(
        page.locator("a[href='https://developer-docs.rivo.io/reference/customers-1']").first
    ).to_be_visible()
    keep(ui, page, "list")


def test_report_page_shows_its_picture(ui: DagsterUI, page: Page) -> None:
    for report in ("rpt_tier_migration", "rpt_redemption_rates"):
        show(ui, page, f"/assets/reports/{report}?view=events")

        # Long values open in a dialogue.
        page.locator("tr", has_text=re.compile("^picture")).get_by_text("[Show Markdown]").click()
        picture = page.locator("img[src^='data:image/png']").first
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.naturalWidth") > 300
        keep(ui, page, report)


def test_checks_of_a_table_have_passed(ui: DagsterUI, page: Page) -> None:
    show(ui, page, "/assets/marts/dim_member?view=checks")

    expect(page.get_by_text("data_tests", exact=True).first).to_be_visible()
    expect(page.get_by_text("This is a blocking asset check")).to_be_visible()
    expect(page.get_by_text("Passed")).to_be_visible()
    keep(ui, page, "checks")


def test_schedule_is_running(ui: DagsterUI, page: Page) -> None:
    show(ui, page, "/locations/rivo_warehouse/schedules/daily_sync")

    expect(page.get_by_text(re.compile("At 03:00 AM")).first).to_be_visible()
    expect(page.locator("input[type=checkbox]").first).to_be_checked()
    keep(ui, page, "schedule")


def test_event_sensors_are_stopped(ui: DagsterUI, page: Page) -> None:
    for name in ("points_earned", "points_redeemed", "vip_tier_changed"):
        show(ui, page, f"/locations/rivo_warehouse/sensors/{name}")

        expect(page.locator("input[type=checkbox]").first).not_to_be_checked()
    keep(ui, page, "sensor")


def test_part_of_the_graph_can_be_materialized(ui: DagsterUI, page: Page) -> None:
    show(ui, page, "/assets/reports/rpt_advocates")

    run_id = run_started_by(ui, page)

    assert status(ui, run_id) == "SUCCESS"
    show(ui, page, f"/runs/{run_id}")
    expect(page.get_by_text("rpt_advocates").first).to_be_visible()
    keep(ui, page, "run")


def test_materializing_an_action_plans_it(ui: DagsterUI, page: Page) -> None:
    show(ui, page, "/assets/actions/win_back_at_risk")
    run_id = run_started_by(ui, page)
    assert status(ui, run_id) == "SUCCESS"
    show(ui, page, "/assets/actions/win_back_at_risk?view=events")
    expect(page.get_by_text("to_send").first).to_be_visible()
    expect(page.get_by_text("held_back").first).to_be_visible()
    keep(ui, page, "action")


def test_sensor_of_an_action_starts_its_job_after_an_event(ui: DagsterUI, page: Page) -> None:
    show(ui, page, f"/locations/rivo_warehouse/sensors/{ACTION_SENSOR}")
    expect(page.locator("input[type=checkbox]").first).not_to_be_checked()
    keep(ui, page, "action_sensor")
    before = {run["runId"] for run in runs(ui)}
    selector = {
        "repositoryLocationName": "rivo_warehouse",
        "repositoryName": "__repository__",
        "sensorName": ACTION_SENSOR,
    }
    started: dict[str, Any] = ui.ask(START_SENSOR, selector=selector)["startSensor"]
    try:
        event = {
            "eventType": "ASSET_MATERIALIZATION",
            "assetKey": {"path": ["rivo_events", "vip_tier_changed"]},
        }
        ui.ask(REPORT_EVENT, parameters=event)
        run_id = run_after(ui, before)
    finally:
        ui.ask(STOP_SENSOR, id=started["sensorState"]["id"])
    assert status(ui, run_id) == "FAILURE"
    show(ui, page, f"/runs/{run_id}")
    expect(page.get_by_text("apply_actions").first).to_be_visible()
    # The shipped actions are disabled, so the job says what to do and sends nothing.
    expect(page.get_by_text(re.compile("welcome_new_tier is disabled")).last).to_be_visible()
    keep(ui, page, "action_run")


def test_wrong_key_is_reported_in_a_plain_sentence(ui: DagsterUI, page: Page) -> None:
    ui.use_key("a-wrong-key")
    try:
        show(ui, page, "/assets/rivo_raw/vip_tiers")
        run_id = run_started_by(ui, page)
    finally:
        ui.use_key(ui.key)

    assert status(ui, run_id) == "FAILURE"
    show(ui, page, f"/runs/{run_id}")
    # The log ends with the failure; the line of its own above it may have been scrolled away.
    expect(page.get_by_text(re.compile("Rivo refused the key")).last).to_be_in_viewport()
    assert "a-wrong-key" not in page.content()
    keep(ui, page, "wrong_key")


def test_no_page_shows_the_key(ui: DagsterUI, browser: Browser, tmp_path: Path) -> None:
    location = "/locations/rivo_warehouse"
    # What a page must show before it counts as seen, so that something is proved.
    pages = {
        "/asset-groups": "rivo_raw",
        "/assets/rivo/customers": "External Asset",
        "/assets/rivo_raw/customers?view=events": "rows_read",
        "/assets/marts/dim_member?view=checks": "data_tests",
        **{f"/runs/{run['runId']}": _last_words(run) for run in runs(ui)},
        "/deployment/locations": "rivo_warehouse",
        "/deployment/daemons": "Scheduler",
        "/deployment/config": "local_artifact_storage",
        f"{location}/jobs/daily_sync/playground": "Launch",
        f"{location}/schedules/daily_sync": "03:00",
        f"{location}/sensors/points_earned": "points_earned",
    }
    record = tmp_path / "answers.har"
    context = browser.new_context(record_har_path=record, record_har_content="embed")
    page = context.new_page()
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda text: frames.append(str(text))))

    shown = []
    for path, text in pages.items():
        show(ui, page, path)
        page.wait_for_function(
            "text => document.body.innerText.includes(text)", arg=text, timeout=SHOWN_MILLISECONDS
        )
        shown.append(page.content())
    context.close()

    reported = "\n".join([*shown, *frames, *_answers(record)])
    assert "Rivo refused the key" in reported
    for secret in (ui.key, "a-wrong-key"):
        assert secret not in reported


def _last_words(run: dict[str, Any]) -> str:
    """Return a text at the end of the log of a run."""
    if run["status"] != "FAILURE":
        return "RUN_SUCCESS"
    return "is disabled" if run["jobName"] == "apply_actions" else "Rivo refused the key"


def _answers(record: Path) -> Iterator[str]:
    """Return all headers and bodies that the browser received, from a HAR file."""
    for entry in json.loads(record.read_text())["log"]["entries"]:
        answer = entry["response"]
        text = answer["content"].get("text", "")
        if answer["content"].get("encoding") == "base64":
            text = base64.b64decode(text).decode(errors="replace")
        yield f"{answer['headers']} {text}"

"""The Dagster UI with two shops: each has its own state, and a failed one is run again by itself."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from sandbox import Program, ProgramOptions, Server, serve
from tests.ui.conftest import DagsterUI, rivo_dev

ASSET = "/assets/rivo_raw/vip_tiers"
RUN_SECONDS = 300
OPTIONS = ProgramOptions(customers=60, months=3)
RUNS = """{ runsOrError { ... on Runs { results {
    runId status startTime endTime tags { key value }
} } } }"""
LAUNCH = """mutation($params: LaunchBackfillParams!) {
    launchPartitionBackfill(backfillParams: $params) {
        __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
    }
}"""


@pytest.fixture(scope="module")
def stores() -> Iterator[dict[str, Server]]:
    """The stores of the shops `de` and `fr`."""
    with (
        serve(Program(OPTIONS), key="key-de-0123456789", rate_limit=0) as de,
        serve(Program(OPTIONS), key="key-fr-0123456789", rate_limit=0) as fr,
    ):
        yield {"de": de, "fr": fr}


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory, stores: dict[str, Server]) -> Iterator[DagsterUI]:
    """`rivo dev` of two shops, of which `fr` has a wrong key. Nothing is synced."""
    settings = (
        "RIVO_SHOPS=de,fr\nRIVO_RATE_LIMIT=1000\nRIVO_PATIENCE_SECONDS=60\nRIVO_SHOP_FR_API_KEY=a-wrong-key\n"
    )
    settings += f"RIVO_SHOP_DE_API_KEY={stores['de'].key}\n"
    settings += "".join(f"RIVO_SHOP_{name.upper()}_API_URL={store.url}\n" for name, store in stores.items())
    with rivo_dev(tmp_path_factory.mktemp("shops"), settings) as ui:
        yield ui


def keep(ui: DagsterUI, page: Page, name: str) -> None:
    page.screenshot(path=str(ui.pictures / f"shops_{name}.png"))


def runs(ui: DagsterUI) -> list[dict[str, Any]]:
    """Return all runs, the last one first, with the shop of each."""
    found: list[dict[str, Any]] = ui.ask(RUNS)["runsOrError"]["results"]
    for run in found:
        run["shop"] = {tag["key"]: tag["value"] for tag in run["tags"]}["dagster/partition"]
    return found


def wait_until(ui: DagsterUI, is_reached: Any) -> list[dict[str, Any]]:
    """Wait for a state of the runs."""
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        found = runs(ui)
        if is_reached(found):
            return found
        time.sleep(0.3)
    raise AssertionError(f"The runs are {runs(ui)}.")


def have_ended(number: int) -> Any:
    def is_reached(found: list[dict[str, Any]]) -> bool:
        return len(found) == number and all(run["status"] in ("SUCCESS", "FAILURE") for run in found)

    return is_reached


def test_shop_with_a_wrong_key_fails_alone_and_is_run_again(
    ui: DagsterUI, page: Page, stores: dict[str, Server]
) -> None:
    page.goto(ui.url + ASSET)
    page.locator("button", has_text="Materialize").first.click()
    page.get_by_text("All", exact=True).click()
    page.get_by_role("button", name="Launch").last.click()
    found = wait_until(ui, have_ended(2))
    assert {run["shop"]: run["status"] for run in found} == {"de": "SUCCESS", "fr": "FAILURE"}

    page.goto(f"{ui.url}{ASSET}?view=partitions&partition=fr")
    expect(page.get_by_text("Failed (1)")).to_be_visible()
    expect(page.get_by_text("Materialized (1)")).to_be_visible()
    expect(page.get_by_text("failed, and did not materialize this asset")).to_be_visible()
    keep(ui, page, "partitions_failed")

    failed = next(run["runId"] for run in found if run["shop"] == "fr")
    ui.write_setting("RIVO_SHOP_FR_API_KEY", stores["fr"].key)
    page.goto(f"{ui.url}/runs/{failed}")
    expect(page.get_by_text("partition: fr")).to_be_visible()
    expect(page.get_by_text(re.compile("Rivo refused the key")).last).to_be_visible()
    keep(ui, page, "failed_run")
    page.get_by_role("button", name="Re-execute all").first.click()
    confirm_if_asked(page, ui, 3)
    again = wait_until(ui, have_ended(3))[0]
    assert (again["shop"], again["status"]) == ("fr", "SUCCESS")

    page.goto(f"{ui.url}{ASSET}?view=partitions&partition=fr")
    expect(page.get_by_text("Materialized (2)")).to_be_visible()
    expect(page.get_by_text("rows_read")).to_be_visible()
    keep(ui, page, "partitions")
    page.goto(f"{ui.url}{ASSET}?view=checks&checkDetail=read_completely")
    page.get_by_text("Partitions", exact=True).nth(1).click()
    expect(page.get_by_text("Passed (2)")).to_be_visible()
    keep(ui, page, "checks")


def confirm_if_asked(page: Page, ui: DagsterUI, number: int) -> None:
    """Confirm that a run is executed again that is part of a backfill. Dagster asks only if that has ended."""
    button = page.get_by_role("button", name="Confirm")
    until = time.monotonic() + RUN_SECONDS
    while len(runs(ui)) < number:
        assert time.monotonic() < until, "no run was started"
        if button.is_visible():
            button.click()
            return
        time.sleep(0.3)


def test_runs_of_one_shop_wait_for_each_other_and_not_for_another_shop(
    ui: DagsterUI, stores: dict[str, Server]
) -> None:
    before = {run["runId"] for run in runs(ui)}

    def new(found: list[dict[str, Any]], shop: str, *statuses: str) -> list[dict[str, Any]]:
        of_shop = [run for run in found if run["runId"] not in before and run["shop"] == shop]
        return [run for run in of_shop if not statuses or run["status"] in statuses]

    for store in stores.values():
        store.faults = ["slow@8000"]
    try:
        for _ in range(2):
            launch(ui, "de", "fr")
        # Both shops run at once, while the second run of each waits.
        wait_until(
            ui,
            lambda found: all(
                len(new(found, shop, "STARTED")) == 1 and len(new(found, shop, "QUEUED")) == 1
                for shop in stores
            ),
        )
    finally:
        for store in stores.values():
            store.faults = []
    found = wait_until(ui, have_ended(len(before) + 4))
    for shop in stores:
        first, second = sorted(new(found, shop, "SUCCESS"), key=lambda run: float(run["startTime"]))
        assert first["endTime"] <= second["startTime"]


def launch(ui: DagsterUI, *shops: str) -> None:
    """Launch a run for each of the shops."""
    params = {
        "assetSelection": [{"path": ["rivo_raw", "vip_tiers"]}],
        "partitionNames": list(shops),
        "fromFailure": False,
    }
    launched = ui.ask(LAUNCH, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

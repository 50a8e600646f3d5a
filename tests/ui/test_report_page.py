"""The report page in a browser: whole without scripts and network, on a phone, in the dark, on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from pipelines.warehouse import Warehouse
from runs.report.writing import write_report
from runs.shop import Shop
from tests.dbt_like_sql.models.stores import question_warehouse
from tests.harness.offline_page import assert_fits_a_phone, opened_offline
from tests.harness.settings import make_settings


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    warehouse = Warehouse(question_warehouse(tmp_path_factory))
    shop = Shop(make_settings(api_key="k", currency="EUR"), warehouse, is_demo=False)
    return write_report(shop, path=tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(params=["light", "dark"])
def report(request: pytest.FixtureRequest, browser: Browser, file: Path) -> Iterator[Page]:
    """The page with scripts off and without a network; it fails if the browser complains about anything."""
    with opened_offline(browser, file, request.param) as page:
        yield page


def test_report_has_its_style_and_drawings_without_scripts_and_network(report: Page) -> None:
    drawings = report.get_by_role("img")

    assert drawings.count() == 3
    assert all(drawings.nth(index).bounding_box()["width"] > 300 for index in range(3))  # type: ignore[index]
    # The content security policy lets the page's own style through: six tiles side by side.
    tops = {tile.bounding_box()["y"] for tile in report.locator(".tile").all()}  # type: ignore[index]
    assert len(tops) == 1


def test_report_needs_no_sideways_scrolling_on_a_phone(report: Page) -> None:
    assert_fits_a_phone(report, "h1, h2, .tile, section > svg")


def test_report_takes_two_pages_of_paper(browser: Browser, file: Path, tmp_path: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(file.as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    context.close()

    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2


def test_report_is_small(file: Path) -> None:
    assert file.stat().st_size < 300_000


def test_report_lists_open_without_scripts(report: Page) -> None:
    first = report.locator(".todo details").first
    assert not first.locator("pre").is_visible()

    first.locator("summary").click()

    assert first.locator("pre").is_visible()
    assert "select customer_id" in first.locator("pre").inner_text()

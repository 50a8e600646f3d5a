"""The page that compares shops in a browser: its style, on a phone, in the dark, on paper, and its links."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from pipelines.warehouse import Warehouse
from runs.report.comparison import write_comparison
from runs.report.writing import write_report
from runs.shop import Shop
from tests.dbt_like_sql.models.stores import question_warehouse
from tests.harness.offline_page import assert_fits_a_phone, opened_offline
from tests.harness.settings import make_settings

SHOPS = ("de", "fr", "us_west")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shops")
    shops = []
    for name in (*SHOPS, "missing"):
        settings = make_settings(api_key="k", currency="EUR")
        settings._shop = name
        shops.append(Shop(settings, Warehouse(folder / f"{name}.duckdb"), is_demo=False))
        if name in SHOPS:
            shutil.copy(question_warehouse(tmp_path_factory), folder / f"{name}.duckdb")
    write_report(shops[0])
    return write_comparison(shops, Warehouse(folder / "all_shops.duckdb"))[0]


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser, file: Path) -> Iterator[Page]:
    """The page with scripts off and without a network; it fails if the browser complains about anything."""
    with opened_offline(browser, file, request.param) as page:
        yield page


def test_comparison_has_a_row_for_each_shop_with_its_figures_side_by_side(page: Page) -> None:
    page.set_viewport_size({"width": 1500, "height": 900})
    assert page.locator("tbody tr").count() == len(SHOPS) + 1
    cells = [cell.bounding_box() for cell in page.locator("tbody tr").first.locator("td").all()]
    assert len(cells) == 9
    assert len({cell["y"] for cell in cells if cell}) == 1


def test_comparison_needs_no_sideways_scrolling_on_a_phone(page: Page) -> None:
    assert_fits_a_phone(page, "h1, h2, tbody th, td, td svg")


def test_comparison_opens_the_page_of_a_shop(page: Page) -> None:
    assert page.get_by_role("link").count() == 1
    page.get_by_role("link", name="its report").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Loyalty programme, September 2026"


def test_comparison_of_few_shops_takes_one_page_of_paper(browser: Browser, file: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(file.as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    context.close()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1

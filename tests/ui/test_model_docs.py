"""The search of the documentation page finds reports by the words that merchants use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from dbt_like_sql.runner import load_project
from dbt_like_sql.runner.docs import page as documentation

WORDS = {
    "liability": "rpt_points_liability",
    "breakage": "rpt_points_vintage",
    "churn": "rpt_member_cohort_retention",
    "engagement": "rpt_program_monthly",
    "enrolment": "rpt_program_monthly",
    "repeat purchase": "rpt_segment_performance",
    "AOV": "rpt_segment_performance",
    "win-back": "rpt_member_rfm",
    "expiring": "rpt_points_expiring",
    "top rewards": "rpt_reward_performance",
    "fraud": "rpt_referral_quality",
    "average balance": "rpt_tier_distribution",
}


@pytest.fixture(scope="module")
def docs(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    file: Path = tmp_path_factory.mktemp("docs") / "models.html"
    file.write_text(documentation(load_project(), None, "not built", "rivo-warehouse"), encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    page.goto(file.as_uri())
    yield page
    context.close()


@pytest.mark.parametrize(("word", "report"), WORDS.items())
def test_search_finds_the_report(docs: Page, word: str, report: str) -> None:
    docs.fill("#search", word)
    docs.wait_for_selector("h1:has(small:text-is('Search'))")

    found = docs.locator(".result > a").all_text_contents()

    assert f"reports.{report}" in found[:3]

"""The documentation page in Chromium: its search, home page, answers, tests, lineage and print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Browser, Page, expect

from dbt_like_sql.runner import build, load_project
from dbt_like_sql.runner.docs import THEMES, Answer
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
    "points expiry": "rpt_points_expiring",
    "VIP": "rpt_tier_distribution",
    "churned members": "rpt_member_rfm",
    "refunds": "fct_redemption",
    "store credit": "rpt_points_rollforward",
    "redemption rate": "rpt_redemption_rates",
    "top advocates": "rpt_advocates",
    "birthday": "rpt_earning_rule_performance",
    "repeat customers": "rpt_member_cohort_retention",
    "outstanding points": "rpt_points_liability",
    "sign ups": "rpt_program_daily",
    "coupon codes": "fct_redemption",
    "about to be downgraded": "rpt_tier_at_risk",
    "almost Gold": "rpt_near_next_tier",
}
MONTHLY = "reports.rpt_program_monthly"
EXPIRING = "reports.rpt_points_expiring"
DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 30" role="img" aria-label="Points outstanding by month">'
    '<path d="M0,30L90,0" style="stroke:var(--link)"/></svg>'
)
SMALL = {
    "models/_sources.yml": "sources: [{name: raw, tables: [{name: members, columns: [{name: id}]}]}]",
    "models/marts/dim_member.sql": "select id, id % 2 as half, 1 as one from raw.members",
    "models/marts/dim_member.yml": """
models:
  - name: dim_member
    columns:
      - {name: id, description: Id., data_tests: [not_null, unique]}
      - name: half
        description: Half.
        data_tests: [not_null, {accepted_values: {values: [0], config: {severity: warn}}}]
      - {name: one, description: One., data_tests: [not_null]}
""",
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of this project's models, with two answers and a picture."""
    html = documentation(
        load_project(),
        None,
        "not built",
        "rivo-warehouse",
        answers={
            MONTHLY: Answer(
                ("month", "members_end", "is_complete"), (("2026-09-01", 1723, True),), is_all=False
            ),
            EXPIRING: Answer(note="The rows are left out."),
        },
        pictures={MONTHLY: DRAWING},
    )
    file: Path = tmp_path_factory.mktemp("docs") / "models.html"
    file.write_text(html, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def docs(browser: Browser, file: Path) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1500, "height": 900})
    page = context.new_page()
    page.goto(file.as_uri())
    yield page
    context.close()


@pytest.fixture(scope="module")
def found(docs: Page) -> Callable[[str], list[str]]:
    """Function that searches, and returns the tables found, best first."""

    def find(words: str) -> list[str]:
        docs.fill("#search", words)
        docs.wait_for_selector("h1:has(small:text-is('Search'))")
        return docs.locator(".result > a").all_text_contents()

    return find


def opened(docs: Page, relation: str) -> Page:
    docs.goto(docs.url.partition("#")[0] + "#" + relation)
    expect(docs.locator("h1")).to_contain_text(relation)
    return docs


@pytest.mark.parametrize(("word", "table"), WORDS.items())
def test_search_finds_the_table_first(found: Callable[[str], list[str]], word: str, table: str) -> None:
    assert found(word)[0].partition(".")[2] == table


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rewards", "reward"),
        ("expire", "expires"),
        ("expiring", "expiry"),
        ("referring", "referrals"),
        ("redeemed", "redemption"),
    ],
)
def test_search_finds_the_same_tables_for_words_of_one_stem(
    found: Callable[[str], list[str]], one: str, other: str
) -> None:
    assert set(found(one)) == set(found(other)) != set()


def test_search_finds_the_beginning_of_a_word_but_not_its_middle(found: Callable[[str], list[str]]) -> None:
    assert "marts.dim_tier" in found("tie")
    assert found("ier") == []
    assert found("art") == []


def test_search_finds_only_tables_with_all_words(docs: Page, found: Callable[[str], list[str]]) -> None:
    assert set(found("tier points")) == set(found("tier")) & set(found("points")) != set(found("tier"))
    # A word that no table has is left out, so that a question in other words still finds something.
    assert found("tier xylophone") == found("tier")
    assert found("xylophone zither") == []
    found("tier xylophone")
    expect(docs.get_by_role("status")).to_contain_text("No table has “xylophone”. Without it: found in ")


def test_search_lists_tables_last_whose_sql_or_tests_alone_have_the_word(
    docs: Page, found: Callable[[str], list[str]]
) -> None:
    assert found("member")
    is_last = docs.locator(".result").evaluate_all(
        """all => all.map(one => !one.querySelector("a > mark") &&
            [...one.querySelectorAll("p")].every(p => /^(code|test) /.test(p.textContent)))"""
    )
    assert is_last == sorted(is_last)
    assert any(is_last)
    assert not all(is_last)


def test_home_groups_the_questions_by_theme(docs: Page) -> None:
    docs.goto(docs.url.partition("#")[0] + "#")
    sections = docs.locator("section[data-theme]")

    expect(sections).to_have_count(len(THEMES))
    assert sections.locator("h3").all_text_contents() == list(THEMES.values())
    project = load_project()
    for section in sections.all():
        theme = section.get_attribute("data-theme")
        asked = [
            q for node in project.models if node.texts("theme") == [theme] for q in node.texts("questions")
        ]
        assert sorted(section.locator("li").all_text_contents()) == sorted(asked) != []
    docs.click("text=Trust in the numbers >> nth=0")
    expect(docs.locator("section[data-theme=trust]")).to_be_in_viewport()


def test_question_leads_to_rows_query_and_picture(docs: Page) -> None:
    docs.goto(docs.url.partition("#")[0] + "#")
    docs.click("text=What share of the members was active in the last 90 days?")

    expect(docs.locator("table.answer")).to_have_text("monthmembers_endis_complete2026-09-011,723true")
    expect(docs.locator("main")).to_contain_text("The first 1 rows of this query")
    expect(docs.locator("figure svg")).to_have_attribute("aria-label", "Points outstanding by month")
    expect(docs.locator("pre.wrap").first).to_contain_text(f"from {MONTHLY}")
    # The drawing has the colours of the page.
    assert docs.locator("figure path").evaluate("one => getComputedStyle(one).stroke") != "none"


def test_page_says_why_rows_are_left_out(docs: Page) -> None:
    opened(docs, EXPIRING)

    expect(docs.locator("table.answer")).to_have_count(0)
    expect(docs.locator(".notice")).to_have_text("The rows are left out.")


def test_columns_come_before_the_lineage_and_the_tests(docs: Page) -> None:
    opened(docs, MONTHLY)

    titles = docs.locator("h2").all_text_contents()
    order = [
        next(i for i, title in enumerate(titles) if word in title) for word in ("columns", "Lineage", "tests")
    ]
    assert order == sorted(order)


@pytest.mark.parametrize("width", [390, 1500])
@pytest.mark.parametrize("table", ["", MONTHLY])
def test_lineage_is_whole_and_can_be_enlarged(browser: Browser, file: Path, width: int, table: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(f"{file.as_uri()}#{table}")
    frame, drawing = page.locator(".graph"), page.locator(".graph svg")

    def sizes() -> tuple[float, float]:
        inner, outer = drawing.bounding_box(), frame.bounding_box()
        assert inner
        assert outer
        return inner["width"], outer["width"]

    inner, outer = sizes()
    assert inner <= outer
    page.click("text=Full size")
    inner, outer = sizes()
    assert inner > outer
    assert inner == pytest.approx(float(drawing.get_attribute("width") or 0), abs=1)
    # The frame scrolls, not the page.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("text=Fit to the page")
    inner, outer = sizes()
    assert inner <= outer
    context.close()


def test_tests_are_summed_up_and_those_that_did_not_pass_are_listed(browser: Browser, tmp_path: Path) -> None:
    for name, text in SMALL.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    project = load_project(tmp_path)
    with duckdb.connect() as connection:
        connection.execute("create schema raw; create table raw.members as select range as id from range(4)")
        list(build(connection, project))
        (tmp_path / "docs.html").write_text(documentation(project, connection, "here", "small"))
    context = browser.new_context()
    page = context.new_page()
    page.goto((tmp_path / "docs.html").as_uri() + "#marts.dim_member")

    expect(page.locator("h2").filter(has_text="tests")).to_have_text("6 tests: 1 did not pass, 5 passed")
    expect(page.locator(".wrong > p")).to_have_text("! warning half is one of 0, or null. 2 failing rows.")
    # Ids of failing rows may be those of customers.
    assert "id 1" not in page.content()
    page.click(".wrong summary")
    expect(page.locator(".wrong pre")).to_contain_text("not in (0)")
    expect(page.locator("main")).to_contain_text(
        "The others: not null (3 columns), unique (id), documented columns."
    )
    page.click("text=The SQL of the others")
    page.click("text=No two rows have the same id.")
    expect(page.locator("details[open] details[open] pre")).to_contain_text("count(*) > 1")
    context.close()


def test_page_prints_without_its_controls_in_light_colours(browser: Browser, file: Path) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(f"{file.as_uri()}#{MONTHLY}")
    page.emulate_media(media="print")

    for hidden in ("header", "nav", ".size"):
        expect(page.locator(hidden)).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    context.close()


def test_page_without_scripts_says_what_it_needs(browser: Browser, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())

    expect(page.locator("noscript")).to_be_visible()
    assert "needs JavaScript" in (page.locator("noscript").text_content() or "")
    context.close()

"""The documentation page is complete, self-contained, and safe for any SQL and any description."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbt_like_sql.runner import build, load_project
from dbt_like_sql.runner.docs import Answer, page

from .building import ONE_ROW_PER_MEMBER
from .conftest import SHOP, Write

NASTY = "</script><script>alert(1)</script><!-- & \u2028 <b>x</b>"
PROPERTIES = """
models:
  - name: rpt_total
    description: Points of all members. And more.
    config:
      tags: [daily]
      meta: {grain: [day, state], questions: ["How many points are outstanding?", "How many members are there?"]}
    data_tests:
      - expression_is_true: {expression: members > 5, config: {severity: warn}}
"""


def data_of(html: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(re.findall(r'id="data">(.*?)</script>', html, re.S)[0])
    return found


def tables_of(html: str) -> dict[str, dict[str, Any]]:
    return {table["id"]: table for table in data_of(html)["tables"]}


@pytest.fixture
def root(write: Write) -> Path:
    files = {"models/m.yml": ONE_ROW_PER_MEMBER, "models/n.yml": PROPERTIES, "seeds/rules.csv": "a,b\n1,x\n"}
    return write(SHOP | files)


def test_page_has_every_table_with_its_metadata(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    project = load_project(root)
    list(build(connection, project, as_of=datetime(2026, 10, 5, 6, tzinfo=UTC)))
    html = page(project, connection, "As in the shop's file", "the shop")
    found = tables_of(html)

    assert set(found) == set(project.tables)
    total = found["reports.rpt_total"]
    assert (total["description"], total["grain"], total["tags"]) == (
        "Points of all members. And more.",
        ["day", "state"],
        ["daily"],
    )
    assert total["questions"] == ["How many points are outstanding?", "How many members are there?"]
    assert total["reads"] == ["marts.dim_member"]
    assert total["rows"] == 1
    assert total["code"] == SHOP["models/reports/rpt_total.sql"]
    assert total["columns"][1] == {
        "name": "balance",
        "type": "hugeint",
        "description": "Points held.",
        "from": ["rivo_raw.events.amount"],
    }
    warned = total["tests"][0]
    assert (warned["status"], warned["severity"], warned["description"], warned["message"]) == (
        "warn",
        "warn",
        "In every row: members > 5.",
        "1 failing row.",
    )
    assert (found["rivo_raw.customers"]["kind"], found["rivo_raw.customers"]["rows"]) == ("raw", 3)
    # All existing columns of a source are listed, also those without a description.
    assert [c["name"] for c in found["rivo_raw.events"]["columns"]] == ["id", "customer_id", "amount"]
    assert (found["seeds.rules"]["kind"], found["seeds.rules"]["rows"]) == ("seed", 1)
    assert (data_of(html)["as_of"], data_of(html)["note"]) == (
        "2026-10-05 06:00 UTC",
        "As in the shop's file",
    )


def test_page_without_a_warehouse_leaves_rows_and_types_empty(root: Path) -> None:
    html = page(load_project(root), None, "There is no warehouse yet.", "the shop")
    total = tables_of(html)["reports.rpt_total"]
    assert (total["rows"], total["built"], total["columns"][0]["type"]) == (None, None, None)
    assert {test["status"] for test in total["tests"]} == {None}
    assert (data_of(html)["as_of"], data_of(html)["has_results"]) == (None, False)
    assert tables_of(html)["rivo_raw.customers"]["columns"][0]["type"] == "bigint"


def test_text_of_the_project_never_becomes_markup(write: Write) -> None:
    files = {
        "models/reports/rpt_nasty.sql": f"select '{NASTY}' as nasty",
        "models/n.yml": f"models: [{{name: rpt_nasty, description: {json.dumps(NASTY)}}}]",
    }
    html = page(load_project(write(files)), None, NASTY, NASTY)
    assert data_of(html)["note"] == NASTY
    assert tables_of(html)["reports.rpt_nasty"]["code"] == f"select '{NASTY}' as nasty"
    # One script holds the data and one renders it; no other script tag may exist.
    assert len(re.findall("<script", html)) == len(re.findall("</script>", html)) == 2
    assert "alert(1)" not in re.sub(r'id="data">.*?</script>', "", html, flags=re.S).replace(
        "&lt;script>alert(1)", ""
    )


def test_page_needs_no_network(root: Path) -> None:
    html = page(load_project(root), None, "", "the shop")
    frame = html.replace("http://www.w3.org/2000/svg", "")
    assert "http:" not in frame
    assert "https:" not in frame
    assert "@import" not in frame
    assert "url(" not in frame
    # The content security policy forbids it too.
    assert "default-src 'none'" in html
    # The script only sets text, never markup.
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch("):
        assert name not in html


def test_answer_shows_numbers_and_dates_as_text(root: Path) -> None:
    now = datetime(2026, 9, 1, 6, 30, tzinfo=UTC)
    # As date_trunc returns a month.
    month = now.replace(hour=0, minute=0, tzinfo=None)
    answer = Answer(
        ("month", "at", "customer_id", "share", "value", "points", "is_complete", "text"),
        (
            (month, now, 7198, 0.25, 1234.5, Decimal("1000.00"), True, NASTY),
            (date(2026, 8, 1), None, 7199, 1, 2, -5, False, None),
        ),
        is_all=False,
    )
    html = page(load_project(root), None, "", "the shop", answers={"reports.rpt_total": answer})
    found = tables_of(html)["reports.rpt_total"]["answer"]

    assert found["rows"] == [
        ["2026-09-01", "2026-09-01 06:30", "7198", "0.2500", "1,234.50", "1,000", "true", NASTY],
        ["2026-08-01", "", "7199", "1.0000", "2.00", "-5", "false", ""],
    ]
    assert found["numeric"] == [False, False, True, True, True, True, False, False]
    assert tables_of(html)["marts.dim_member"]["answer"] is None


def test_picture_is_in_a_template_of_its_table(root: Path) -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" aria-label="Balance"><path d="M0,0"/></svg>'
    pictures = {"reports.rpt_total": svg, "marts.dim_member": ""}
    html = page(load_project(root), None, "", "the shop", pictures=pictures)

    assert re.findall("<template.*</template>", html) == [
        f'<template data-picture="reports.rpt_total">{svg}</template>'
    ]


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        ("<svg></template><b>", "is not well-formed"),
        ("<p/>", "is no <svg> element"),
        ("<svg><script>alert(1)</script></svg>", "has a script"),
    ],
)
def test_picture_that_is_no_drawing_is_refused(root: Path, picture: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"The picture of reports.rpt_total {message}"):
        page(load_project(root), None, "", "the shop", pictures={"reports.rpt_total": picture})

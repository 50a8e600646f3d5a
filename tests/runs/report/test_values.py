"""The page with values that a shop of another kind has: odd names, amounts of any size."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from pipelines.warehouse import Warehouse
from runs.pictures.points import short
from runs.report.writing import write_report
from runs.shop import Shop
from tests.dbt_like_sql.models.stores import question_warehouse
from tests.harness.report_page import ReportPage, read_page
from tests.harness.settings import make_settings

NAME = """O'Neil <script>alert(1)</script> {braces} 100% ann@example.com"""
CHANGES = f"""
    update reports.rpt_tier_movement set state = $${NAME}$$ where tier_id is not null;
    update reports.rpt_reward_performance set reward_name = $${NAME}$$;
    update reports.rpt_data_trust set status = 'attention', finding = $${NAME}$$;
    update reports.rpt_program_monthly set value_used = 2393800000, points_outstanding = 1000
        where month = '2026-09-01';
    update reports.rpt_program_monthly set points_outstanding = 10 where month = '2026-08-01';
    update reports.rpt_points_liability set value_per_point = 0.00004;
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> ReportPage:
    folder = tmp_path_factory.mktemp("values")
    path = shutil.copy(question_warehouse(tmp_path_factory), folder / "shop.duckdb")
    with duckdb.connect(str(path)) as connection:
        connection.execute(CHANGES)
    shop = Shop(make_settings(api_key="k", currency="KRW"), Warehouse(Path(path)), is_demo=False)
    return read_page(write_report(shop))


def test_names_of_the_shop_are_text_without_addresses(page: ReportPage) -> None:
    shown = "O’Neil &lt;script&gt;alert(1)&lt;/script&gt; {braces} 100% …"

    assert page.html.count(shown) > 10
    assert "ann@" not in page.html
    assert "<script" not in page.html


def test_amounts_of_any_size_can_be_read(page: ReportPage) -> None:
    assert page.shown["tile.value_used"] == "KRW 2,393,800,000"
    assert page.html.count('<p class="value long">') == 1
    assert page.shown["tile.points_outstanding.value_per_point"] == "KRW 0.000040"
    assert page.shown["tile.points_outstanding.month"] == "▲ 9,900.0 %"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (950, "950"),
        (12_000, "12k"),
        (-2_161_188, "-2.2M"),
        (999_960, "1M"),
        (3e9, "3B"),
        (2e15, "2,000T"),
    ],
)
def test_labels_of_charts_are_short(value: float, text: str) -> None:
    assert short(value) == text

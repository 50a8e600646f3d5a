"""The page that compares shops: its numbers, the month it chooses, shops without figures, currencies, links."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pipelines.errors import NoWarehouse, RivoError
from pipelines.warehouse import Warehouse
from runs.report.comparison import compare, write_comparison
from runs.report.writing import write_report
from runs.shop import Shop
from tests.dbt_like_sql.models.stores import question_warehouse
from tests.harness.report_page import ReportPage, read_page
from tests.harness.settings import make_settings

Publish = Callable[..., Shop]


@pytest.fixture
def publish(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Publish:
    """Publish the warehouse of a shop, changed by SQL; without a warehouse if the SQL is None."""

    def publish(name: str, sql: str | None = "", currency: str = "EUR") -> Shop:
        file = tmp_path / "shops" / f"{name}.duckdb"
        file.parent.mkdir(exist_ok=True)
        if sql is not None:
            shutil.copy(question_warehouse(tmp_path_factory), file)
        if sql:
            with duckdb.connect(str(file)) as connection:
                connection.execute(sql)
        settings = make_settings(api_key="k", currency=currency)
        settings._shop = name
        return Shop(settings, Warehouse(file), is_demo=False)

    return publish


def write(tmp_path: Path, *shops: Shop, month: date | None = None) -> tuple[ReportPage, list[str]]:
    file, missing = write_comparison(shops, Warehouse(tmp_path / "all_shops.duckdb"), month=month)
    return read_page(file), missing


HALVED = "update reports.rpt_program_monthly set members_end = members_end // 2"


def test_numbers_of_a_shop_are_those_of_its_own_page(publish: Publish, tmp_path: Path) -> None:
    de, fr = publish("de"), publish("fr", HALVED)
    page, missing = write(tmp_path, de, fr)
    assert missing == []
    for shop in (de, fr):
        own = read_page(write_report(shop, path=tmp_path / "own.html")).numbers
        shown = {name: value for name, value in page.numbers.items() if name.startswith(f"{shop.name}.")}
        same = {
            f"{shop.name}.{name.removeprefix('tile.')}": value
            for name, value in own.items()
            if re.fullmatch(r"tile\.\w+(\.month)?", name)
        }
        assert len(same) >= 10
        assert same.items() <= shown.items()
        assert shown[f"{shop.name}.points_issued"] == own["tile.burn_ratio.points_issued"]
        assert shown[f"{shop.name}.face_value"] == own["tile.points_outstanding.face_value"]
        assert shown[f"{shop.name}.trust.checks"] == own["trust.checks"]
    assert page.numbers["fr.members"] == page.numbers["de.members"] // 2
    assert "All shops, September 2026</h1>" in page.html


def test_shops_are_in_the_order_given_and_bars_compare_them(publish: Publish, tmp_path: Path) -> None:
    page, _ = write(tmp_path, publish("fr", HALVED), publish("de"))
    assert re.findall(r"<strong>(\w+)</strong>", page.html) == ["fr", "de"]
    rows = page.html.split("<tr>")[2:]
    members = [float(re.findall(r'<rect width="([\d.]+)"', row)[0]) for row in rows]
    share = float(page.numbers["fr.members"] / page.numbers["de.members"])
    assert members == [pytest.approx(100 * share, abs=0.1), 100.0]


@pytest.mark.parametrize(("currencies", "bars"), [(("EUR", "EUR"), 9), (("EUR", "USD"), 7), (("", ""), 7)])
def test_amounts_have_bars_only_in_one_currency(
    publish: Publish, tmp_path: Path, currencies: tuple[str, str], bars: int
) -> None:
    de, fr = (
        publish(name, currency=currency) for name, currency in zip(("de", "fr"), currencies, strict=True)
    )
    page, _ = write(tmp_path, de, fr)
    assert page.html.count("<rect ") == 2 * bars
    assert page.shown["fr.value_used"].startswith(
        {"EUR": "€", "USD": "$", "": page.shown["fr.value_used"][0]}[currencies[1]]
    )


def test_month_is_the_last_complete_one_that_every_shop_has(publish: Publish, tmp_path: Path) -> None:
    older = "update reports.rpt_program_monthly set is_complete = false where month >= '2026-09-01'"
    shops = [publish("de"), publish("fr", older), publish("it", None)]
    assert compare(shops).month == date(2026, 8, 1)
    page, missing = write(tmp_path, *shops)
    assert "All shops, August 2026</h1>" in page.html
    assert missing == ["it"]
    new = "update reports.rpt_program_monthly set is_complete = false"
    assert compare([publish("de"), publish("fr", new)]).month == date(2026, 9, 1)


def test_shop_without_figures_says_why_without_a_path(publish: Publish, tmp_path: Path) -> None:
    shops = [
        publish("de"),
        publish("it", None),
        publish("es", "delete from reports.rpt_program_monthly where month = '2026-09-01'"),
        publish("old", "drop table reports.rpt_redemption_rates"),
    ]
    shops.append(publish("bad"))
    shops[-1].warehouse.path.write_bytes(b"no database")
    page, missing = write(tmp_path, *shops, month=date(2026, 9, 1))
    assert missing == ["it", "es", "old", "bad"]
    rows = dict(
        re.findall(
            r'<strong>(\w+)</strong>.*?class="problem">([^<]+)<',
            page.html.replace("\n", " ").replace("<tr>", "\n"),
        )
    )
    assert rows == {
        "it": "There is no warehouse yet.",
        "es": "There are no figures of September 2026.",
        "old": "The figures could not be read when this page was written.",
        "bad": "The figures could not be read when this page was written.",
    }
    assert str(tmp_path) not in page.html
    assert page.numbers["de.members"] > 0


def test_comparison_without_any_figures_is_an_error(publish: Publish) -> None:
    with pytest.raises(NoWarehouse):
        compare([publish("de", None), publish("fr", None)])
    with pytest.raises(RivoError, match=r"^No shop has figures of 2031-01\.$"):
        compare([publish("de")], date(2031, 1, 1))


def test_page_links_the_pages_of_the_shops_that_have_one(publish: Publish, tmp_path: Path) -> None:
    de, fr = publish("de"), publish("fr")
    write_report(de)
    page, _ = write(tmp_path, de, fr)
    assert re.findall(r'<a href="([^"]+)"', page.html) == ["shops/de.report.html"]
    assert (tmp_path / "shops/de.report.html").is_file()


def test_page_is_for_those_who_may_read_every_shop(publish: Publish, tmp_path: Path) -> None:
    de, fr = publish("de"), publish("fr")
    de.warehouse.path.chmod(0o644)
    fr.warehouse.path.chmod(0o640)
    file, _ = write_comparison([de, fr], Warehouse(tmp_path / "all_shops.duckdb"))
    assert file.stat().st_mode & 0o777 == 0o640


def test_page_names_the_checks_that_need_attention(publish: Publish, tmp_path: Path) -> None:
    worse = "update reports.rpt_data_trust set status = case when rowid = 0 then 'attention' else 'ok' end"
    page, _ = write(tmp_path, publish("de", worse), publish("fr", worse.replace("'attention'", "'ok'")))
    assert page.numbers["de.trust.attention"] == Decimal(1)
    assert "fr.trust.attention" not in page.numbers
    assert "Trusted: not one of" in page.html

"""`rivo report`: where the page goes, which month it shows, and what is said when it cannot be written."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from tests.dbt_like_sql.models.stores import question_warehouse
from tests.harness.command import run_command
from tests.harness.report_page import read_page
from tests.harness.settings import RIVO, environment


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shutil.copy(question_warehouse(tmp_path_factory), tmp_path / "shop.duckdb")
    return tmp_path


def run(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = {"RIVO_WAREHOUSE": str(home / "shop.duckdb"), **variables}
    return run_command([RIVO, "report", *arguments], environment(home, **settings), home)


def test_report_is_written_beside_the_warehouse(home: Path) -> None:
    done = run(home)

    assert (done.returncode, done.stdout.split(",")[0]) == (0, "Wrote shop.report.html")
    assert "Loyalty programme, September 2026" in read_page(home / "shop.report.html").html


def test_report_is_readable_by_those_who_may_read_the_warehouse(home: Path) -> None:
    (home / "shop.duckdb").chmod(0o640)

    run(home)

    assert (home / "shop.report.html").stat().st_mode & 0o777 == 0o640


def test_report_of_another_month_leaves_the_latest(home: Path) -> None:
    assert run(home).returncode == 0
    latest = (home / "shop.report.html").read_bytes()

    assert run(home, "--month", "2026-10").returncode == 0

    assert (home / "shop.report.html").read_bytes() == latest
    assert "October 2026 so far" in (home / "shop.report-2026-10.html").read_text()


def test_report_output_may_be_a_folder(home: Path) -> None:
    assert run(home, "-o", "pages", "--month", "2026-09").returncode == 0

    assert [path.name for path in (home / "pages").iterdir()] == ["report-2026-09.html"]


def test_report_output_may_be_a_pipe(home: Path) -> None:
    os.mkfifo(home / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((home / "pipe").read_text)
        done = run(home, "-o", "pipe")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert read.result().startswith("<!doctype html>")
    assert read.result().endswith("</html>")
    assert (home / "pipe").is_fifo()


def test_report_of_a_warehouse_without_reports_says_what_to_run(home: Path) -> None:
    with duckdb.connect(str(home / "shop.duckdb")) as warehouse:
        warehouse.execute("drop table reports.rpt_member_rfm")

    done = run(home)

    assert done.returncode == 1
    assert "lacks a table or column that the page shows" in done.stderr
    assert "rpt_member_rfm" in done.stderr
    assert "models build --all" in done.stderr


def test_report_shows_amounts_in_the_currency_of_the_settings(home: Path) -> None:
    assert run(home, RIVO_CURRENCY="eur").returncode == 0

    assert read_page(home / "shop.report.html").shown["tile.value_used"].startswith("€")


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "sentence"),
    [
        (("--month", "2031-01"), {}, 1, "has no figures of 2031-01. It has the months from"),
        (("--month", "September"), {}, 2, "'September' is not a month. Write it as 2026-09."),
        (
            ("-o", "shop.duckdb/page.html"),
            {},
            1,
            "cannot be written (Not a directory). Choose another file",
        ),
        (
            (),
            {"RIVO_CURRENCY": "euro"},
            1,
            "RIVO_CURRENCY: 'euro' is not an ISO 4217 code such as EUR or USD",
        ),
        ((), {"RIVO_WAREHOUSE": "none.duckdb", "RIVO_API_KEY": "k"}, 3, "There is no warehouse"),
    ],
)
def test_report_that_cannot_be_written_says_why(
    home: Path, arguments: tuple[str, ...], variables: dict[str, str], code: int, sentence: str
) -> None:
    done = run(home, *arguments, **variables)

    assert done.returncode == code
    assert sentence in done.stderr
    assert not list(home.glob("*.html"))

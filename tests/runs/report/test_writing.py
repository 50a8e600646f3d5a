"""The page after a run: it follows the published file, and its failure takes nothing back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runs.pictures import points
from runs.report import writing
from sandbox import ProgramOptions
from tests.dbt_like_sql.models.stores import open_observed_store
from tests.harness.report_page import read_page

SMALL = ProgramOptions(customers=3, months=3)


def drawings(page: Path) -> list[str]:
    return re.findall(r"<svg [^>]*data-rows.*?</svg>", page.read_text(), flags=re.DOTALL)


def test_sync_writes_the_page_beside_the_warehouse_and_takes_no_page_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "shop.report.html"
    with open_observed_store(SMALL, tmp_path) as store:
        store.options |= {"report": True}
        store.sync(at=SMALL.end, models=True)
        assert store.finished
        assert store.finished.report == page
        assert "05 October 2026, 06:00 UTC" in read_page(page).html
        drawings_before = drawings(page)
        assert len(drawings_before) == 3

        # In a night without news, the drawings of past months are those of the night before.
        monkeypatch.setattr(points, "outstanding", None)
        store.wait(0.1)
        store.sync(models=True)
        assert store.finished.problems == ()
        assert drawings(page) == drawings_before

        def changed_model(*_: object, **__: object) -> str:
            raise KeyError("'ann@example.com' is no column")

        monkeypatch.setattr(writing, "report", changed_model)
        store.wait()
        store.sync(models=True)
        assert store.finished.published
        assert store.finished.report is None
        [problem] = store.finished.problems
        assert "its report page could not be written: KeyError" in problem
        assert "RIVO_REPORT=no" in problem
        assert "ann@" not in problem
        assert drawings(page) == drawings_before

        page.unlink()
        store.options |= {"report": False}
        store.wait()
        store.sync(models=True)
        assert store.finished.problems == ()
        assert not page.exists()

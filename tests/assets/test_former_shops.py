"""Runs of a shop that RIVO_SHOPS no longer names: one left in the queue, or one that is executed again."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from assets.instance.private import PARTITION_TAG
from assets.shops import settings_of
from pipelines.errors import SettingsError


def _run(partition: str) -> dg.DagsterRun:
    return dg.DagsterRun(job_name="daily_sync", tags={PARTITION_TAG: partition} if partition else {})


@pytest.mark.parametrize("names", ["de,it", "de", ""])
def test_run_of_a_former_shop_does_not_work_on_another(
    names: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RIVO_WAREHOUSE", str(tmp_path / "rivo.duckdb"))
    monkeypatch.setenv("RIVO_SHOPS", names)
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "fr.duckdb").touch()
    with pytest.raises(SettingsError, match="fr"):
        settings_of(_run("fr"))


def test_run_with_a_partition_of_the_user_works_on_the_only_shop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RIVO_WAREHOUSE", str(tmp_path / "rivo.duckdb"))
    for partition in ("2026-10-05", "europe", "a|b", ""):
        assert settings_of(_run(partition)).shop == ""
    monkeypatch.setenv("RIVO_SHOPS", "de")
    for partition in ("2026-10-05", "de", ""):
        assert settings_of(_run(partition)).shop == "de"

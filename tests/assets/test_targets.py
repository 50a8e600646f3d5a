"""Targets as assets: one for each that follows the syncs of some shop, below the published file."""

from __future__ import annotations

import dagster as dg
import pytest

from assets.definitions import definitions
from assets.keys import PUBLISHED
from pipelines.settings import Settings
from tests.harness.store import project


def target_specs_of(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, dg.AssetSpec]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = definitions(Settings.load(), project("+dim_member")).resolve_all_asset_specs()
    return {"/".join(spec.key.path): spec for spec in found if spec.key.path[0] == "targets"}


def test_targets_to_publish_to_are_assets_below_the_published_file(monkeypatch: pytest.MonkeyPatch) -> None:
    found = target_specs_of(
        monkeypatch,
        RIVO_PUBLISH="warehouse,snow",
        RIVO_TARGET_WAREHOUSE="postgresql://rivo@db.example/loyalty",
        RIVO_TARGET_SNOW="dlt:snowflake",
        RIVO_TARGET_OTHER="md:loyalty",
    )
    assert {name: sorted(spec.kinds) for name, spec in found.items()} == {
        "targets/warehouse": ["postgres"],
        "targets/snow": ["snowflake"],
    }
    assert {dep.asset_key for spec in found.values() for dep in spec.deps} == {PUBLISHED}


def test_target_of_one_shop_is_an_asset(monkeypatch: pytest.MonkeyPatch) -> None:
    found = target_specs_of(
        monkeypatch,
        RIVO_SHOPS="de,fr",
        RIVO_SHOP_FR_PUBLISH="files",
        RIVO_TARGET_FILES="file:///srv/loyalty",
    )
    assert set(found) == {"targets/files"}


def test_without_targets_there_is_no_asset_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert target_specs_of(monkeypatch) == {}

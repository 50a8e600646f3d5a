"""`rivo sync` and `rivo publish` with a target that needs no server: a folder of Parquet files."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from assets.instance.home import open_instance
from assets.keys import PUBLISHED, target_key
from tests.cli.conftest import Rivo


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("models", ["+dim_member"])
def test_sync_publishes_to_a_folder_and_dagster_shows_it(
    rivo: Rivo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "files"
    target = {"RIVO_PUBLISH": "files", "RIVO_TARGET_FILES": f"file://{folder}"}
    synced = rivo("sync", **target)
    assert synced.returncode == 0, synced.stdout + synced.stderr
    tables = json.loads((folder / "current.json").read_text())["tables"]
    [members] = [table for table in tables if table["name"] == "dim_member"]
    with duckdb.connect() as connection:
        rows = connection.execute("select count(*) from read_parquet(?)", [members["files"]]).fetchall()
    assert rows == [(members["rows"],)]
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    with open_instance() as instance:
        times = [_materialized_at(instance, key) for key in (PUBLISHED, target_key("files"))]
    assert all(times)
    again = rivo("publish", **target)
    assert (again.returncode, "0 rows written, 0 tables" in again.stdout) == (0, True), again.stdout


def _materialized_at(instance: dg.DagsterInstance, key: dg.AssetKey) -> float:
    event = instance.get_latest_materialization_event(key)
    return event.timestamp if event else 0


def test_publish_without_targets_or_with_a_wrong_name_says_what_to_do(rivo: Rivo) -> None:
    unset = rivo("publish")
    assert (unset.returncode, "RIVO_PUBLISH is not set" in unset.stderr) == (1, True)
    wrong = rivo("publish", "lake")
    assert (wrong.returncode, "There is no target lake" in wrong.stderr) == (1, True)
    replaced = rivo("publish", "--replace")
    assert (replaced.returncode, "name the target" in replaced.stderr) == (2, True)

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


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("models", ["+dim_member"])
def test_status_names_a_target_that_is_behind_and_one_that_is_gone(rivo: Rivo, tmp_path: Path) -> None:
    target = {"RIVO_PUBLISH": "files", "RIVO_TARGET_FILES": f"file://{tmp_path / 'files'}"}
    assert rivo("sync").returncode == 0
    behind = "The target files does not have the newest publication of the warehouse."
    assert behind in rivo("status", **target).stdout
    assert rivo("publish", **target).returncode == 0
    assert behind not in rivo("status", **target).stdout
    assert rivo("models", "build", "--all").returncode == 0
    assert behind in rivo("status", **target).stdout
    # Not set any more, and nothing was erased since.
    assert "The target files" not in rivo("status").stdout
    assert "RIVO_TARGET_FILES is still set" in rivo("publish", "files", "--gone", **target).stderr
    gone = rivo("publish", "files", "--gone")
    assert (gone.returncode, gone.stdout) == (0, "No command asks for the target files any more.\n")
    assert "files" not in json.loads(rivo("status", "--json").stdout)["targets"]


def test_gone_is_for_one_target(rivo: Rivo) -> None:
    for arguments in (("--gone",), ("a", "b", "--gone"), ("a", "--gone", "--purge")):
        refused = rivo("publish", *arguments)
        assert (refused.returncode, "--gone is for one target" in refused.stderr) == (2, True)

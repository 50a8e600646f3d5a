"""`rivo backup`, `rivo restore` and `rivo forget` on the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.instance.home import open_instance
from pipelines.warehouse import Warehouse
from sandbox import Event
from tests.cli.conftest import Rivo
from tests.harness.deliveries import journal, keep
from tests.harness.settings import make_settings

PII_KEY = "a-key-that-cannot-be-guessed"


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with Warehouse(path).read() as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("models", ["+rpt_tier_migration"])
def test_restore_rebuilds_a_lost_warehouse_from_a_backup(rivo: Rivo, warehouse: Path, tmp_path: Path) -> None:
    tier_moves = "from reports.rpt_tier_migration order by all"
    before = ask(warehouse, tier_moves)

    made = rivo("backup", "saved")
    assert made.returncode == 0, made.stderr
    assert "tables," in made.stdout
    assert re.search("To restore it: .*rivo restore saved", made.stdout)
    again = rivo("backup", "saved")
    assert (again.returncode, "already exists and is not empty" in again.stderr) == (1, True)

    refused = rivo("restore", "saved")
    assert (refused.returncode, "add --replace. Nothing was changed." in refused.stderr) == (1, True)
    warehouse.unlink()
    assert "so there is nothing to back up" in rivo("backup", "other").stderr
    back = rivo("restore", "saved")
    assert back.returncode == 0, back.stdout + back.stderr
    assert "sync` to read what has changed since the backup" in back.stdout
    assert ask(warehouse, tier_moves) == before
    assert rivo("restore", "nowhere").returncode == 1


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("models", ["+dim_member"])
def test_forget_erases_a_person_from_the_warehouse_and_from_dagster(
    rivo: Rivo, warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(id, email)] = ask(
        warehouse, "select id, email from rivo_raw.customers where email <> '' order by id limit 1"
    )
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    key = dg.AssetKey(["marts", "dim_member"])
    with open_instance() as instance:
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key,
                check_name="some",
                passed=False,
                metadata={
                    "sample": dg.MetadataValue.json([{"customer_id": id}, {"customer_id": int(f"{id}1")}])
                },
            )
        )
    home = tmp_path / "dagster"

    def in_dagster(word: object) -> list[Path]:
        return [
            file for file in home.rglob("*") if file.is_file() and f"{word}".encode() in file.read_bytes()
        ]

    assert in_dagster(id)
    body = {"vip_tier_id": 552288, "customer": {"id": id, "email": email}}
    keep(warehouse, make_settings(), [Event("customer_vip_tier/upgraded", body, "w-1")])
    without = rivo("forget", str(id))
    assert (
        without.returncode,
        "RIVO_PII_KEY is not set, and erasing a person requires it" in without.stderr,
    ) == (1, True)

    done = rivo("forget", email.upper(), RIVO_PII_KEY=PII_KEY)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Erased. The amounts are kept under the key -" in done.stdout
    assert "backups and copies made before" in done.stdout
    assert str(id) not in done.stdout
    assert email not in done.stdout
    [(opaque,)] = ask(warehouse, "select min(id) from rivo_raw.customers")
    assert ask(warehouse, f"select customer_id from marts.dim_member where customer_id = {opaque}")
    with open_instance() as instance:
        records = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(key, "some"), limit=5
        )
    sample = str(records[0].event)
    assert f"{opaque}" in sample
    assert journal(warehouse, "select customer_id, body from deliveries") == [(opaque, None)]
    assert ask(warehouse, "select customer_id, body from rivo_raw.webhook_events") == [(opaque, None)]
    assert f"{id}1" in sample, "a number with the same first digits must stay"
    assert f"{id}}}" not in sample
    for file in [*warehouse.parent.rglob("*"), *home.rglob("*")]:
        if file.is_file():
            content = file.read_bytes().replace(f"{id}1".encode(), b"")
            assert str(id).encode() not in content, file
            assert email.encode() not in content, file
    assert rivo("forget").returncode == 2

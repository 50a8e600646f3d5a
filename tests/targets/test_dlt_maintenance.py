"""Destinations of dlt in a bucket or a folder: many days leave few files, and a failed maintenance is a note."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.targets import dlt_maintenance
from tests.targets.dlt_destinations import DltDestination, Shop

SCHEMAS = ("marts",)


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list; the maintenance takes the sum of its numbers for the days that have passed."""
    passed: list[int] = []
    start = datetime.now(UTC)
    monkeypatch.setattr(dlt_maintenance, "_now", lambda: start + timedelta(days=sum(passed)))
    return passed


def published_day(shop: Shop, destination: DltDestination, days: list[int]) -> None:
    days.append(1)
    shop.next_day()
    shop.do(
        f"update marts.ledger set email = 'd{shop.day}' where id = {700 + 3 * shop.day}; "
        f"insert into marts.ledger (id, email) values ({1_000_000 + shop.day}, 'new'); "
        f"update marts.day set day = {shop.day}"
    )
    done = shop.publish(destination, schemas=SCHEMAS)
    assert (done.problem, done.notes[1:]) == ("", ())


def made_shop(folder: Path) -> Shop:
    shop = Shop.made(folder, 1200)
    shop.do("create table marts.day as select 0 as day")
    return shop


def files_of(destination: DltDestination) -> Counter[str]:
    """Return the number of files by folder in the dataset."""
    found = [file for file in destination.place.rglob("*") if file.is_file()]
    return Counter(file.relative_to(destination.place).parts[0] for file in found)


@pytest.mark.parametrize("destination", ["delta", "iceberg"], indirect=True)
def test_small_days_leave_few_files(
    destination: DltDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: list[int]
) -> None:
    """Weeks of three days, so that nine of them have two maintenances."""
    for name in ("EVERY", "KEEP"):
        monkeypatch.setattr(dlt_maintenance, name, timedelta(days=3))
    monkeypatch.setattr(dlt_maintenance, "MOST_FILES", 2)
    # Delta asks the clock of the machine, so here it keeps nothing.
    properties = ("delta.deletedFileRetentionDuration", "delta.logRetentionDuration")
    text = ", ".join(f'"{name}": "interval 0 seconds"' for name in properties)
    monkeypatch.setenv("DESTINATION__FILESYSTEM__DELTALAKE_CONFIGURATION", f"{{{text}}}")
    shop = made_shop(tmp_path / "shop")
    counts = []
    for day in range(9):
        published_day(shop, destination, days)
        if day == 0:
            of_killed = destination.place / "marts" / "ledger" / "data" / "part-of-a-killed-process.parquet"
            of_killed.parent.mkdir(exist_ok=True)
            of_killed.write_bytes(b"unfinished")
        counts.append(files_of(destination)["marts"])
    shop.check(destination, "marts.ledger", "marts.day")
    # The log of a Delta table begins with a checkpoint after the first maintenance, and one file says where it is.
    assert max(counts[6:]) <= max(counts[3:6]) <= counts[2] + 4
    assert not of_killed.exists()


@pytest.mark.parametrize("destination", ["delta", "iceberg"], indirect=True)
def test_readers_can_use_a_version_of_before_the_maintenance(
    destination: DltDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: list[int]
) -> None:
    monkeypatch.setattr(dlt_maintenance, "EVERY", timedelta())
    monkeypatch.setattr(dlt_maintenance, "MOST_FILES", 0)
    shop = made_shop(tmp_path / "shop")
    published_day(shop, destination, days)
    folder = destination.place / "marts" / "day"
    if destination.kind == "delta":
        from deltalake import DeltaTable

        version = DeltaTable(folder).version()
        days[:] = []
        published_day(shop, destination, days)
        assert DeltaTable(folder, version=version).to_pyarrow_table()["day"].to_pylist() == [1]
    else:
        from pyiceberg.table import StaticTable

        newest = max((folder / "metadata").glob("*.metadata.json"), key=lambda file: file.name)
        days[:] = []
        published_day(shop, destination, days)
        assert StaticTable.from_metadata(str(newest)).scan().to_arrow()["day"].to_pylist() == [1]
    shop.check(destination, "marts.day")


@pytest.mark.parametrize("destination", ["delta"], indirect=True)
def test_failed_maintenance_is_a_note_and_due_again(
    destination: DltDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: list[int]
) -> None:
    shop = made_shop(tmp_path / "shop")
    assert shop.publish(destination, schemas=SCHEMAS).problem == ""
    note = f"{destination.target.variable}: the maintenance failed and is due again at the next publication: no space."
    with monkeypatch.context() as broken:

        def fails(*_: object) -> None:
            raise OSError("no space")

        broken.setattr(dlt_maintenance, "_maintain_delta", fails)
        days.append(8)
        for _ in range(2):
            shop.next_day()
            done = shop.publish(destination, schemas=SCHEMAS)
            assert (done.problem, done.notes[1:]) == ("", (note,))
    published_day(shop, destination, days)


def test_database_needs_no_maintenance(
    destination: DltDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: list[int]
) -> None:
    monkeypatch.delattr(dlt_maintenance, "_maintain")
    published_day(made_shop(tmp_path / "shop"), destination, days)

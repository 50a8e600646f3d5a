"""When the older versions in a target are deleted: once it gets the first file after personal data was deleted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.targets.parquet_readers import Place, publish_files
from tests.targets.warehouses import ADDRESS, FIRST_DAY, publish_day

ERASED_AT = FIRST_DAY + timedelta(hours=5)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place((tmp_path / "files").as_uri(), tmp_path / "copies")


def holders(place: Place) -> int:
    """Return how many files there are of members with the address: the present one and those kept for readers."""
    return sum(
        ADDRESS in str(place.rows_of_file(key, "email"))
        for key in place.list_keys()
        if "/marts/dim_member/" in key
    )


def test_file_before_the_erasure_does_not_count_as_purged(tmp_path: Path, place: Place) -> None:
    """A `rivo forget` that a failed check blocks: `rivo publish` sends the file of before once more."""
    folder = tmp_path / "warehouse"
    before = publish_day(folder)
    publish_files(before, place)
    publish_files(before, place, purge=True)
    assert holders(place) == 1
    publish_files(publish_day(folder, 1, address="erased@example.com", erased_at=ERASED_AT), place)
    assert holders(place) == 0


def test_erasure_is_purged_once(tmp_path: Path, place: Place) -> None:
    folder = tmp_path / "warehouse"
    for day, address in enumerate((ADDRESS, "erased@example.com", ADDRESS, "another@example.com")):
        erased_at = ERASED_AT if day else None
        publish_files(publish_day(folder, day, address=address, erased_at=erased_at), place)
    # Files of the third day stay for readers that began with it.
    assert holders(place) == 1


def test_target_without_a_noted_state_is_purged(tmp_path: Path, place: Place) -> None:
    folder = tmp_path / "warehouse"
    publish_files(publish_day(folder), place)
    erased = publish_day(folder, 1, address="erased@example.com", erased_at=ERASED_AT)
    erased.last_publications_file.unlink()
    publish_files(erased, place)
    assert holders(place) == 0

"""The warehouse of the first release, and its store a week later, from files that cannot be made again."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.settings import Settings
from tests.harness.settings import make_settings
from tests.harness.stub import Asked, Reply, answering

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def lists() -> dict[str, list[dict[str, Any]]]:
    """Every complete list as the store answered it on 5 October 2026."""
    found: dict[str, list[dict[str, Any]]] = json.loads(
        lzma.decompress((HERE / "lists_a_week_later.json.xz").read_bytes())
    )
    return found


@pytest.fixture(scope="session")
def _first_release() -> bytes:
    return lzma.decompress((HERE / "first_release.duckdb.xz").read_bytes())


@pytest.fixture
def warehouse(_first_release: bytes, tmp_path: Path) -> Path:
    """The file that the first release published on 28 September 2026."""
    path = tmp_path / "rivo.duckdb"
    path.write_bytes(_first_release)
    return path


@pytest.fixture
def settings(lists: dict[str, list[dict[str, Any]]], warehouse: Path) -> Iterator[Settings]:
    """Settings for a stub of the store, which pages by cursor."""

    def answer(asked: Asked, _: int) -> Reply:
        rows = lists[asked.path.rsplit("/", 1)[-1]]
        since_id = int(asked.params.get("pagination[since_id]", 0))
        limit = int(asked.params.get("pagination[limit]", 25))
        behind = [row for row in rows if row["id"] > since_id]
        following = behind[limit - 1]["id"] if len(behind) > limit else None
        links = {"since_id": since_id, "limit": limit, "next_since_id": following}
        return Reply({"links": links, "data": behind[:limit]})

    with answering(answer) as stub:
        yield make_settings(api_key="upgrade-key", api_url=stub.url, warehouse=str(warehouse))

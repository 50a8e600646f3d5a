"""A sandbox store without a warehouse, in which unknown outcomes are decided at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import ProgramOptions
from tests.harness.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "warehouse" / "rivo.duckdb"
    path.parent.mkdir()
    with open_store(path, ProgramOptions(customers=40, months=4), options={"settle_seconds": 0.0}) as store:
        yield store

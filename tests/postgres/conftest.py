"""A Postgres server for these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.postgres_server import Postgres, serve_postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with serve_postgres() as server:
        yield server

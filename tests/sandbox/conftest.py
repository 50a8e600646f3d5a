"""One default programme for all tests, and a small client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox import DEFAULT_END, Program, ProgramOptions, Server, serve

Lists = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def program() -> Program:
    """The default store; never changed by hand."""
    return Program()


@pytest.fixture(scope="session")
def lists(program: Program) -> Lists:
    """The default store at its end."""
    return program.snapshot(DEFAULT_END)


@pytest.fixture
def small() -> Program:
    """A store of one's own, to be changed by hand."""
    return Program(ProgramOptions(customers=60, months=6))


@pytest.fixture
def server(program: Program) -> Iterator[Server]:
    """The default store, served without limits."""
    with serve(program, rate_limit=0) as running:
        yield running


def days(count: float) -> timedelta:
    return timedelta(days=count)


JULY = datetime(2026, 7, 1, tzinfo=UTC)

"""Programmes and servers of the sandbox tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox import DEFAULT_END, Program, ProgramOptions, Server, serve

Lists = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def program() -> Program:
    """The default programme; no test may change it."""
    return Program()


@pytest.fixture(scope="session")
def lists(program: Program) -> Lists:
    """All lists of the default programme at its end."""
    return program.snapshot(DEFAULT_END)


@pytest.fixture
def small() -> Program:
    """A small programme that a test may change."""
    return Program(ProgramOptions(customers=60, months=6))


@pytest.fixture
def server(program: Program) -> Iterator[Server]:
    """The default programme, served without a rate limit."""
    with serve(program, rate_limit=0) as running:
        yield running


def days(count: float) -> timedelta:
    return timedelta(days=count)


JULY = datetime(2026, 7, 1, tzinfo=UTC)

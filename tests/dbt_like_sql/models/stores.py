"""Stores whose warehouses are judged against everything that the API answered at the moments of their syncs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.rivo.endpoints import ENDPOINTS
from sandbox import Program, ProgramOptions
from tests.harness.store import Store, open_store

STATES = ("vip_tiers", "customers")
"""The lists that must be seen on the day; the others can be read later without loss."""

LEDGER = (*STATES, "points_events", "points_redemptions")
"""The lists that balances are worked out from."""


@contextmanager
def open_observed_store(
    program: Program | ProgramOptions, folder: Path, timezone: str = "UTC", selection: str = ""
) -> Iterator[Store]:
    """Serve a program while a `with` block lasts; its store keeps its observations and may lose any rows."""
    options = {"timezone": timezone, "patience_seconds": 0.5}
    path = folder / "shop.duckdb"
    with open_store(
        path,
        program,
        options=options,
        allow_shrink=tuple(ENDPOINTS),
        selection=selection,
        keeps_observations=True,
    ) as store:
        yield store

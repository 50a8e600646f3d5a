"""Stores whose warehouses are judged against everything that the API answered at the moments of their syncs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.rivo.endpoints import ENDPOINTS
from sandbox import Program, ProgramOptions
from tests.harness.prepared import prepare_once
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


FIRST, LAST = datetime(2026, 7, 31, 6, tzinfo=UTC), datetime(2026, 10, 5, 6, tzinfo=UTC)
_SILVER = 552_288


def question_program() -> Program:
    """Return a small shop in which every question has an answer.

    One member falls from Gold, and one advocate opens all of the links at one address.
    """
    program = Program(ProgramOptions(seed=7, customers=80, months=14, end=LAST))
    lists = program.snapshot(FIRST)
    silver = next(row["attributes"] for row in lists["vip_tiers"] if row["id"] == _SILVER)
    tiers = {row["id"]: row["attributes"]["vip_tier"] or {} for row in lists["customers"]}
    golden = next(id for id, tier in tiers.items() if tier.get("name") == "Gold")
    program.override("customers", golden, at=datetime(2026, 9, 10, tzinfo=UTC), vip_tier=silver)
    sent = program.snapshot(LAST)["referrals"]
    [(advocate, _)] = Counter(row["attributes"]["advocate_email"] for row in sent).most_common(1)
    for row in sent:
        if row["attributes"]["advocate_email"] == advocate:
            program.override("referrals", row["id"], at=LAST, signup_ip="198.51.100.7")
    return program


def question_warehouse(factory: pytest.TempPathFactory) -> Path:
    """Return the published file of `question_program`, synced at FIRST and at LAST. No test may change it."""

    def make(folder: Path) -> None:
        with open_observed_store(question_program(), folder) as store:
            store.sync(*STATES, at=FIRST)
            store.sync(at=LAST, models=True)

    return prepare_once(factory, "questions", make) / "shop.duckdb"

"""Stores for torture: settings under which every sync is exact, and random choices that a seed repeats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from sandbox import ProgramOptions
from tests.harness.store import Store, open_store

OPTIONS = {"patience_seconds": 3.0, "lookback_days": 36_500, "full_sweep_days": 7}
"""Every row counts as one that can still change."""


@contextmanager
def torture_store(
    folder: Path, seed: int, customers: int = 40, months: int = 4, selection: str = ""
) -> Iterator[Store]:
    """Serve a store while a `with` block lasts. Each kind of torture takes a warehouse of its own in `folder`."""
    options = ProgramOptions(seed=seed, customers=customers, months=months)
    path = folder / "first" / "rivo.duckdb"
    with open_store(path, options, options=OPTIONS, random=Random(seed), selection=selection) as store:
        yield store

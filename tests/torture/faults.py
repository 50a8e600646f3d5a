"""Every HTTP fault at growing rates: a sync succeeds, or fails with a clear error and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pytest

from pipelines.errors import ApiError
from pipelines.rivo.endpoints import ENDPOINTS
from sandbox.faults import KINDS, OF_READING
from tests.harness.settings import shorten_retries
from tests.harness.store import Store
from tests.torture.figures import Figures
from tests.torture.judge import judge

RATES = (0.05, 0.2, 0.5)
LATE = frozenset({"empty_page"})
"""Faults by which a list seems to end early: the rest comes with the next sync."""
VALUES = {"rate_limited": "@0.1", "rate_limited_date": "@0.1", "slow": "@20", "hang": "@0.05"}
"""Values of faults, so that the waits a server asks for are short."""


def faults(store: Store, kinds: Iterable[str] = OF_READING, rates: Iterable[float] = RATES) -> Figures:
    """Sync once a kind and rate, and after each kind completely without faults; judge each result."""
    figures = Figures(
        "faults", "complete lists equal the store; the others have their reason and yesterday's rows"
    )
    store = store.with_warehouse("faults")
    store.options = store.options | {"patience_seconds": 2.0}
    store.sync()
    failed = 0
    spoilt: set[datetime] = set()
    with pytest.MonkeyPatch.context() as patch:
        shorten_retries(patch)
        for kind in kinds:
            for rate in rates:
                store.wait()
                figures.runs += 1
                failed += _one(store, figures, kind, rate)
                if KINDS[kind].stage == "rows":
                    spoilt.add(store.now)
            store.wait()
            results = store.sync(full=True)
            figures.must(
                all(r.complete for r in results.values()), f"after {kind}: the clean sync is not complete"
            )
            figures.add(judge(store.path, store.program, models=False, spoilt=spoilt), f"after {kind}")
    figures.add(judge(store.path, store.program, models=False, observations=0, spoilt=spoilt), "at the end")
    figures.notes.append(
        f"{figures.runs} syncs with {len(tuple(kinds))} kinds of faults, {failed} lists failed clean"
    )
    return figures.end()


def _one(store: Store, figures: Figures, kind: str, rate: float) -> int:
    """Sync with one fault and return the number of failed lists."""
    where = f"{kind} at {rate:.0%}"
    before = store.path.read_bytes()
    try:
        results = store.sync(faults=[f"{kind}={rate}{VALUES.get(kind, '')}"])
    except ApiError as error:
        figures.seen[str(error)] += 1
        figures.must(kind == "http_401", f"{where}: {error}")
        figures.must(store.path.read_bytes() == before, f"{where}: the published file was touched")
        return len(ENDPOINTS)
    said = [result.error for result in results.values() if result.error]
    figures.seen.update(said)
    for sentence in said:
        figures.must(is_sentence(sentence), f"{where}: not a sentence: {sentence}")
    # Rows with invalid values are quarantined and counted; the judge skips them.
    if KINDS[kind].stage != "rows" and kind not in LATE:
        figures.add(judge(store.path, store.program, models=False, observations=1), where)
    return len(said)


def is_sentence(text: str) -> bool:
    """Whether a person can read it: it begins with a capital, ends with a full stop, and is no traceback."""
    ours, _, _ = text.partition(" The server says: ")
    return ours[:1].isupper() and ours.endswith((".", ")")) and "Traceback" not in text and "0x" not in text

"""Rows and pages of extreme sizes: memory stays within a bound that does not depend on the number of pages."""

from __future__ import annotations

from tests.harness.store import Store
from tests.torture.figures import Figures
from tests.torture.judge import judge

PAGE_ROWS = 250
USUAL_MB = 600
"""Memory that a sync of lists may take, for any number of rows."""
TIMES_A_PAGE = 14
"""A page is in memory as bytes, JSON, Arrow and in DuckDB: it may add this many times its size."""


def big(store: Store, page_mb: int, *, models: bool = True) -> Figures:
    """Sync a long name, many tags, pages of one row, and pages of `page_mb` MB. The store needs 300 customers."""
    figures = Figures("big", "complete, equals the store, memory within its bound")
    store = store.with_warehouse("big")
    usual = _sync(store, figures, "as usual", USUAL_MB)
    some = [row.id for row in store.program.view(store.now).rows("customers")]
    store.program.override("customers", some[3], at=store.now, first_name="N" * 1_000_000)
    store.program.override(
        "customers", some[4], at=store.now, shopify_tags=[f"tag {n}" for n in range(10_000)]
    )
    odd = _sync(store, figures, "a name of 1 MB, 10,000 tags", USUAL_MB)
    store.server.faults = ["short_page"]
    short = _sync(store, figures, "pages of one row", USUAL_MB)
    store.server.faults = ()
    length = page_mb * 1_000_000 // PAGE_ROWS
    for number, id in enumerate(some[:PAGE_ROWS]):
        store.program.override("customers", id, at=store.now, first_name=f"{number} ".ljust(length, "x"))
    bound = USUAL_MB + TIMES_A_PAGE * page_mb
    page = _sync(store, figures, f"a page of {page_mb} MB", bound)
    again = _sync(store, figures, f"a page of {page_mb} MB, again", bound)
    if models:
        store.wait()
        figures.must(store.sync_in_child(models=True) is None, "the models were not built of it")
        figures.runs += 1
        figures.add(judge(store.path, store.program, models=True, observations=0), "with models")
    figures.notes.append(
        f"peak memory: {usual} MB as usual, {odd} MB with a name of 1 MB and 10,000 tags, {short} MB by pages of one "
        f"row, {max(page, again)} MB with a page of {page_mb} MB (bound: {USUAL_MB} MB and {TIMES_A_PAGE} times "
        "the page)"
    )
    return figures.end()


def _sync(store: Store, figures: Figures, what: str, bound_mb: int) -> int:
    """Sync and return the peak of memory in MB."""
    store.wait()
    child = store.start()
    said = child.end(300)
    figures.runs += 1
    figures.must(said is None, f"{what}: {said}")
    figures.must(child.peak_mb <= bound_mb, f"{what}: {child.peak_mb} MB, more than {bound_mb}")
    figures.add(judge(store.path, store.program, models=False), what)
    return child.peak_mb

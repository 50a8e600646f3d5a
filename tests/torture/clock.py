"""Wrong clocks: the API's, this machine's, and one that hardly moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipelines.errors import ApiError
from sandbox import Program, ProgramOptions, serve
from tests.harness.store import Store
from tests.torture.figures import Figures
from tests.torture.judge import judge

FAR = (datetime(2019, 3, 4, 6, tzinfo=UTC), datetime(2049, 3, 1, 6, tzinfo=UTC))
"""Ends of stores, years away from this machine's clock."""


def clock(store: Store, rounds: int) -> Figures:
    """Sync under each of the wrong clocks, `rounds` times."""
    figures = Figures("clock", "histories never run backwards; what was observed stays; equals the store")
    store = store.with_warehouse("clock")
    store.sync()
    for number in range(rounds):
        _back(store, figures)
        _within_a_second(store, figures)
        figures.add(judge(store.path, store.program, models=False), f"round {number + 1}")
    figures.add(judge(store.path, store.program, models=False, observations=0), "at the end")
    _ahead(store, figures)
    for end in FAR:
        program = Program(ProgramOptions(seed=store.program.options.seed, customers=30, months=3, end=end))
        with serve(program, rate_limit=0) as server:
            far = Store(server, store.with_warehouse(f"far{end:%Y}").path, store.options)
            for _ in range(2):
                far.sync()
                far.wait()
                figures.runs += 1
            figures.add(
                judge(far.path, program, models=False, observations=0), f"this machine's clock, {end:%Y}"
            )
    return figures.end()


def _back(store: Store, figures: Figures) -> None:
    """The API's clock goes back a day: the sync is refused and changes nothing; the next day it succeeds."""
    before = store.path.read_bytes()
    store.wait(-1)
    figures.runs += 1
    try:
        store.sync()
        figures.must(False, "a clock that ran back a day was believed")
    except ApiError as error:
        figures.seen[str(error)] += 1
        figures.must("histories cannot run backwards" in str(error), str(error))
    figures.must(store.path.read_bytes() == before, "the published file was touched")
    store.wait(2)
    store.sync()
    figures.runs += 1


def _within_a_second(store: Store, figures: Figures) -> None:
    """A row changes between two syncs of the same time: the later sync holds."""
    customer = store.random.choice(sorted(store.table("customers")))
    store.program.override("customers", customer, at=store.now, loyalty_status="guest", vip_tier=None)
    store.sync()
    figures.runs += 1
    open_versions = store.query(
        "select loyalty_status from rivo_raw.customers_history where id = ? and valid_to is null", customer
    )
    figures.must(open_versions == [("guest",)], f"two syncs within a second: {open_versions}")


def _ahead(store: Store, figures: Figures) -> None:
    """The API's clock jumps a year ahead for one sync: afterwards the warehouse can be rewound."""
    now, year = store.now, timedelta(days=365)
    versions = "select id, _row_version, valid_from from rivo_raw.customers_history where valid_from <= ?"
    before = set(store.query(versions, now))
    # The rows stay those of today: it is the clock alone that is wrong.
    store.server.date_offset = year
    store.sync()
    store.server.date_offset = timedelta()
    figures.runs += 1
    store.wait()
    try:
        store.sync()
        figures.must(False, "a clock that came back from a year ahead was believed without a word")
    except ApiError as error:
        figures.seen[str(error)] += 1
        figures.must("--rewind" in str(error), str(error))
    store.sync(rewind=True)
    figures.runs += 1
    figures.must(
        store.query("select max(observed_at) from rivo_raw.sync_log") == [(store.now,)], "not rewound"
    )
    figures.must(before == set(store.query(versions, now)), "rewinding lost versions")
    figures.add(judge(store.path, store.program, models=False, observations=1), "back from a year ahead")

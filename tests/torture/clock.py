"""Clocks that are wrong: the API's, this machine's, and one that hardly moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipelines.errors import ApiError
from sandbox import Program, ProgramOptions, serve
from tests.pipelines.shop import Shop
from tests.torture.figures import Figures
from tests.torture.ground import Ground
from tests.torture.judge import judge

FAR = (datetime(2019, 3, 4, 6, tzinfo=UTC), datetime(2049, 3, 1, 6, tzinfo=UTC))
"""As seen from a machine whose own clock is years wrong."""


def clock(at: Ground, rounds: int) -> Figures:
    """Each of the wrong clocks, so many times."""
    figures = Figures("clock", "histories never run backwards; what was observed stays; equals the store")
    shop = Shop(at.server, at.path("clock"), {"lookback_days": 36_500})
    shop.sync()
    for number in range(rounds):
        _back(at, shop, figures)
        _within_a_second(at, shop, figures)
        figures.add(judge(shop.path, at.program, models=False), f"round {number + 1}")
    figures.add(judge(shop.path, at.program, models=False, observations=0), "at the end")
    _ahead(at, shop, figures)
    for end in FAR:
        program = Program(ProgramOptions(seed=at.program.options.seed, customers=30, months=3, end=end))
        with serve(program, rate_limit=0) as server:
            far = Shop(server, at.path(f"far{end:%Y}"), {"lookback_days": 36_500})
            for _ in range(2):
                far.sync()
                far.wait()
                figures.runs += 1
            figures.add(
                judge(far.path, program, models=False, observations=0), f"this machine's clock, {end:%Y}"
            )
    return figures.end()


def _back(at: Ground, shop: Shop, figures: Figures) -> None:
    """The API's clock says yesterday: refused, nothing touched; the next day it is right again."""
    before = shop.path.read_bytes()
    at.wait(-1)
    figures.runs += 1
    try:
        shop.sync()
        figures.must(False, "a clock that ran back a day was believed")
    except ApiError as error:
        figures.seen[str(error)] += 1
        figures.must("histories cannot run backwards" in str(error), str(error))
    figures.must(shop.path.read_bytes() == before, "the published file was touched")
    at.wait(2)
    shop.sync()
    figures.runs += 1


def _within_a_second(at: Ground, shop: Shop, figures: Figures) -> None:
    """Something changes between two syncs that bear the same time: the later one holds."""
    customer = at.chance.choice(sorted(shop.rows("customers")))
    at.program.override("customers", customer, at=at.server.now, loyalty_status="guest", vip_tier=None)
    shop.sync()
    figures.runs += 1
    open_versions = shop.query(
        "select loyalty_status from rivo_raw.customers_history where id = ? and valid_to is null", customer
    )
    figures.must(open_versions == [("guest",)], f"two syncs within a second: {open_versions}")


def _ahead(at: Ground, shop: Shop, figures: Figures) -> None:
    """The API's clock jumps a year ahead for one sync; afterwards the warehouse can be brought back."""
    now, year = at.server.now, timedelta(days=365)
    versions = "select id, _row_version, valid_from from rivo_raw.customers_history where valid_from <= ?"
    before = set(shop.query(versions, now))
    # The rows stay those of today: it is the clock alone that is wrong.
    at.server.date_offset = year
    shop.sync()
    at.server.date_offset = timedelta()
    figures.runs += 1
    at.wait()
    try:
        shop.sync()
        figures.must(False, "a clock that came back from a year ahead was believed without a word")
    except ApiError as error:
        figures.seen[str(error)] += 1
        figures.must("--rewind" in str(error), str(error))
    shop.sync(rewind=True)
    figures.runs += 1
    figures.must(
        shop.query("select max(observed_at) from rivo_raw.sync_log") == [(at.server.now,)], "not rewound"
    )
    figures.must(before == set(shop.query(versions, now)), "rewinding lost versions")
    figures.add(judge(shop.path, at.program, models=False, observations=1), "back from a year ahead")

"""A Rivo-compatible store on localhost, for tests and the demo. Imports none of the other packages.

It simulates a loyalty programme day by day (customers, orders, points, tiers, discount codes, referrals, staff) and
returns what Rivo's REST API would answer at any moment:

    from datetime import UTC, datetime, timedelta
    from sandbox import Fault, Program, ProgramOptions, serve

    program = Program(ProgramOptions(seed=7, customers=200))
    lists = program.snapshot(datetime(2026, 7, 1, tzinfo=UTC))      # {"customers": [{"id": ...}], ...}

    with serve(program, faults=["http_500:customers=0.1", Fault("dropped", times=2)]) as server:
        ...                                    # connect a client to server.url with server.key
        server.now += timedelta(days=7)        # the clock only moves when it is set
        server.faults = []
        assert server.requests[-1].status == 200

    program.override("vip_tiers", 552288, at=moment, name="Argent")
    program.insert("points_events", {"customer": {"id": ...}, "points_diff": 50}, at=moment)
    program.remove("customers", id, at=moment)
    program.restore("customers", id, at=later)
    program.truth.tier_spells(), program.truth.ledger(), program.truth.redemptions()

It also takes the calls that change a shop (points, also ten at once, redemptions, refunds, referrals, days of birth,
tiers), as forms or JSON; `server.mails` are the mails that they would cause. What they change is in the lists at once.

With `serve(program, webhooks=Sender(url, secret))` it sends webhooks for these calls, and for what happens when its
clock moves forwards. A test that sends some itself, repeated, out of order, late or forged, calls `Sender.send`.

Two rules hold for every customer at every moment T:

- The tally (Rivo's balance) `points_tally` is the sum of `points_diff` over the customer's points events that are
  visible and not revoked at T. The same holds for credits. The sign of a credit amount is that of `credits_diff` if
  present, else negative for the source `points_purchase` and positive for all others. With `tally_rule="c"`, hidden
  entries do not count either; with "d", unapproved and future-dated entries do not count as well. Only
  `program.override("customers", ...)` can break this rule.
- The tier follows from the points earned in the last 365 days. Upgrades happen at once, downgrades at night.
"""

from sandbox.api import Request
from sandbox.faults import KINDS, Fault
from sandbox.options import DEFAULT_END, ProgramOptions
from sandbox.program import Program
from sandbox.rows import LISTS
from sandbox.server import Server, serve
from sandbox.truth import LedgerEntry, RedemptionFact, TierSpell, Truth
from sandbox.webhooks import Event, Sender

__all__ = [
    "DEFAULT_END",
    "KINDS",
    "LISTS",
    "Event",
    "Fault",
    "LedgerEntry",
    "Program",
    "ProgramOptions",
    "RedemptionFact",
    "Request",
    "Sender",
    "Server",
    "TierSpell",
    "Truth",
    "serve",
]

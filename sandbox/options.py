"""Options of a simulated programme."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox.clock import to_ms

TALLY_RULES = ("b", "c", "d")
DEFAULT_END = datetime(2026, 10, 5, 6, 0, tzinfo=UTC)


@dataclass(frozen=True)
class ProgramOptions:
    """Options of a programme. Equal options give equal answers, byte for byte.

    seed            random seed
    customers       number of customers at `end`; 0 is an empty shop. More arrive after `end`
    months          length of the history before `end`
    end             default end of the history; the clock may go past it
    tally_rule      which ledger entries count towards a tally (Rivo's balance): "b" all that are not revoked,
                    "c" also not the hidden ones, "d" also not the unapproved and future-dated ones
    tiers           False: a shop without VIP tiers
    credits_only    True: everything is earned and spent in store credits; no points, no tiers
    unknown_source  True: some entries have an undocumented source, "gamification_spin"
    legacy_keys     True: customers have the attribute names of an older version of the API
    """

    seed: int = 7
    customers: int = 2_000
    months: int = 18
    end: datetime = DEFAULT_END
    tally_rule: str = "b"
    tiers: bool = True
    credits_only: bool = False
    unknown_source: bool = False
    legacy_keys: bool = False

    def __post_init__(self) -> None:
        """Validate the options."""
        if self.tally_rule not in TALLY_RULES:
            raise ValueError(f"tally_rule must be one of {', '.join(TALLY_RULES)}, not {self.tally_rule!r}")
        if self.customers < 0:
            raise ValueError("customers must not be negative")
        if self.months < 1:
            raise ValueError("months must be at least 1")
        if self.end.tzinfo is None:
            raise ValueError("end needs a time zone")

    @property
    def start(self) -> datetime:
        """Start of the history: `months` calendar months before `end`."""
        count = self.end.year * 12 + self.end.month - 1 - self.months
        year, month = count // 12, count % 12 + 1
        day = min(self.end.day, calendar.monthrange(year, month)[1])
        return self.end.replace(year=year, month=month, day=day)

    @property
    def has_tiers(self) -> bool:
        """Whether the shop has VIP tiers; they need points."""
        return self.tiers and not self.credits_only

    @property
    def start_ms(self) -> int:
        """`start` in milliseconds."""
        return to_ms(self.start)

    @property
    def end_ms(self) -> int:
        """`end` in milliseconds."""
        return to_ms(self.end)

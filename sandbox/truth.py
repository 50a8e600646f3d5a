"""The facts of the simulation, for tests that check results derived from the API's answers.

Rows that a test inserted, removed or overrode are not included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.clock import from_ms, to_ms
from sandbox.shapes import state_at
from sandbox.simulation import Simulation


@dataclass(frozen=True)
class TierSpell:
    """One uninterrupted stay of a customer in a state. `state`: 'not_member', 'no_tier' or 'tier'."""

    customer_id: int
    state: str
    tier_id: int | None
    entered_at: datetime
    left_at: datetime | None


@dataclass(frozen=True)
class LedgerEntry:
    """A ledger entry in one unit: points, or cents of credit. `visible_at` is when the API first shows the row."""

    event_id: int
    customer_id: int
    unit: str
    amount: int
    source: str
    applied_at: datetime
    visible_at: datetime
    revoked_at: datetime | None
    redemption_id: int | None


@dataclass(frozen=True)
class RedemptionFact:
    """A discount code and its outcome. Credits are in cents."""

    redemption_id: int
    customer_id: int
    reward_id: int
    points_spent: int
    credits_spent: int
    claimed_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    refunded_at: datetime | None
    revoked_at: datetime | None


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


class Truth:
    """The facts as of a moment, by default the programme's `end`."""

    def __init__(self, simulation: Simulation, lock: AbstractContextManager[Any]) -> None:
        self._simulation = simulation
        self._lock = lock

    def _until(self, t: datetime | None) -> int:
        ms = self._simulation.options.end_ms if t is None else to_ms(t)
        with self._lock:
            self._simulation.run_through(ms)
        return ms

    def tier_spells(self, t: datetime | None = None) -> list[TierSpell]:
        """Return the tier stays of every customer since its creation, without gaps; the last one is open."""
        until = self._until(t)
        return [stay for stays in self._stays(until) for stay in stays]

    def _stays(self, until: int) -> Iterator[list[TierSpell]]:
        for customer in self._simulation.customers:
            moves: list[tuple[int, str, int | None]] = []
            for state in customer.log:
                if state.at > until:
                    break
                name = (
                    "not_member" if state.status != "member" else "no_tier" if state.tier is None else "tier"
                )
                move = (state.at, name, state.tier)
                if moves and moves[-1][0] == state.at:
                    moves.pop()
                if not moves or moves[-1][1:] != move[1:]:
                    moves.append(move)
            ends = [at for at, _, _ in moves[1:]] + [None] if moves else []
            yield [
                TierSpell(customer.id, name, tier, from_ms(at), _moment(end))
                for (at, name, tier), end in zip(moves, ends, strict=True)
            ]

    def tier_at(self, customer_id: int, t: datetime) -> tuple[str, int | None]:
        """Return the state ('not_member', 'no_tier', 'tier') and the tier id of a customer at a moment."""
        until = self._until(t)
        state = state_at(self._simulation.by_id[customer_id], until)
        if state.status != "member":
            return "not_member", None
        return ("no_tier", None) if state.tier is None else ("tier", state.tier)

    def ledger(self, t: datetime | None = None) -> list[LedgerEntry]:
        """Return the ledger entries visible at a moment; an event with points and credits gives two."""
        until = self._until(t)
        entries = []
        for event in self._simulation.events:
            if event.at > until:
                break
            attrs = event.as_of(until)
            for unit, amount in (("points", event.points), ("credits", event.credits)):
                if amount:
                    entries.append(
                        LedgerEntry(
                            event_id=event.id,
                            customer_id=event.customer.id,
                            unit=unit,
                            amount=amount,
                            source=attrs["source"],
                            applied_at=from_ms(attrs["applied_at"]),
                            visible_at=from_ms(event.at),
                            revoked_at=_moment(attrs.get("revoked_at")),
                            redemption_id=attrs.get("points_purchases_id"),
                        )
                    )
        return entries

    def redemptions(self, t: datetime | None = None) -> list[RedemptionFact]:
        """Return the redemptions claimed by a moment."""
        until = self._until(t)
        facts = []
        for row in self._simulation.redemptions:
            if row.at > until:
                break
            attrs = row.as_of(until)
            facts.append(
                RedemptionFact(
                    redemption_id=row.id,
                    customer_id=row.customer.id,
                    reward_id=row.reward_id,
                    points_spent=attrs["points_amount"],
                    credits_spent=attrs["credits"],
                    claimed_at=from_ms(attrs["applied_at"]),
                    expires_at=_moment(attrs.get("expires_at")),
                    used_at=_moment(attrs.get("used_at")),
                    refunded_at=_moment(attrs.get("refunded_at")),
                    revoked_at=_moment(attrs.get("revoked_at")),
                )
            )
        return facts

"""Actions of staff: adjust balances, grant credits, back-date and hide entries."""

from __future__ import annotations

from typing import Any

from sandbox.clock import DAY, HOUR
from sandbox.rows import Customer, Event
from sandbox.simulation import Simulation

NAMES = ("jane", "omar", "li")
REASONS = ("goodwill", "late parcel", "campaign prize", "duplicate account", "correction")

_PER_MEMBER_AND_DAY = 0.0007


def workday(sim: Simulation, at: int) -> None:
    """Plan the adjustments of one day."""
    sim.plan(at + DAY, workday)
    rng = sim.rng
    expected = len(sim.customers) * _PER_MEMBER_AND_DAY
    count = int(expected) + (rng.random() < expected % 1)
    for _ in range(count):
        customer = sim.customers[int(rng.random() * len(sim.customers))]
        sim.plan(at + int(rng.random() * 8 * HOUR), adjust, customer)


def adjust(sim: Simulation, at: int, customer: Customer) -> None:
    """Add or remove points or credits, dated today, earlier or later."""
    if not customer.is_member:
        return
    rng = sim.rng
    points, credits = 0, 0
    if sim.options.credits_only or rng.random() < 0.3:
        credits = 50 * int(1 + rng.random() * 80)
        if rng.random() < 0.1:
            credits = -min(customer.now.credits, credits) or credits
    elif rng.random() < 0.25:
        points = -min(customer.now.points, 5 * int(1 + rng.random() * 60))
    else:
        points = 5 * int(1 + rng.random() * 60)
    if not credits and not points:
        points = 5
    chance = rng.random()
    shift = (
        -int(rng.random() * 60 * DAY) if chance < 0.3 else int(rng.random() * 20 * DAY) if chance < 0.4 else 0
    )
    reason = REASONS[int(rng.random() * len(REASONS))]
    attrs: dict[str, Any] = {
        "applied_at": (at + shift) // 1000 * 1000,
        "internal_note": f"adjusted by {NAMES[int(rng.random() * len(NAMES))]}@store.example: {reason}",
        "external_note": "A little thank-you" if points > 0 or credits > 0 else None,
    }
    event = sim.post(at, customer, "manual", points, credits, **attrs)
    if rng.random() < 0.08:
        sim.plan(sim.soon(10), hide, event)
    elif rng.random() < 0.05:
        sim.plan(sim.soon(30), undo, event)


def hide(sim: Simulation, at: int, event: Event) -> None:
    """Hide an entry from the customer."""
    sim.amend(at, event, hidden=True)


def undo(sim: Simulation, at: int, event: Event) -> None:
    """Revoke an adjustment that was a mistake."""
    sim.amend(at, event, revoked_at=at)

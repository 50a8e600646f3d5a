"""A row of the outbox, and the states that it goes through.

An action goes *planned -> sending -> done | refused | unknown*. `sending` is written and flushed to the disk before the
request leaves, so that after a crash the action is known to have an unknown outcome. `skipped` actions were left out
after they had been planned, and can be planned again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

State = Literal["planned", "sending", "done", "refused", "unknown", "skipped"]
OPEN: tuple[State, ...] = ("sending", "unknown")
"""States of an action whose outcome has to be found by reading back."""
SENDABLE: tuple[State, ...] = ("planned", "skipped")
"""States of an action that can be planned again, since nothing was changed."""


@dataclass(frozen=True)
class Entry:
    """A row of the outbox. Amounts are in points and in the shop's currency; times are UTC."""

    action_id: int
    action: str
    kind: str
    action_key: str
    state: State
    customer_id: int | None
    parameters: Mapping[str, Any]
    points_amount: int
    credits_amount: Decimal
    value: Decimal | None
    token: str
    """Text by which its points event can be recognised."""
    since_id: int | None
    """Largest id of the list that it appears in, as of before it was sent."""
    points_before: int | None
    """The customer's points balance before it was sent."""
    sent_at: datetime | None
    sent_clock: float | None
    """When it was sent by this machine's clock, in seconds since 1970."""
    attempts: int
    rivo_id: int | None
    """Id of the object that it made or changed in Rivo."""
    message: str | None
    verified_at: datetime | None
    difference: str | None
    """What Rivo shows instead of what was asked for; None if it agrees or was not read back yet."""


@dataclass(frozen=True)
class Spent:
    """What was sent on a day, for limits per day."""

    rows: int
    points: int
    value: Decimal

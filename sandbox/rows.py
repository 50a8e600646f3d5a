"""The rows of the seven lists as the simulation keeps them: sparse, typed, and with their own past.

A row knows its attributes at creation and what changed when, so that it can be shown as of any moment.
Times are milliseconds, credits and money are cents; `shapes` turns them into what the API answers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

LISTS: dict[str, str] = {
    # list -> the "type" its rows carry; the docs' rewards are in the plural
    "customers": "customer",
    "points_events": "points_event",
    "points_redemptions": "points_redemption",
    "referrals": "referral",
    "vip_tiers": "vip_tier",
    "rewards": "rewards",
    "earning_rules": "earning_rule",
}

Attributes = dict[str, Any]


class State(NamedTuple):
    """A customer from one moment to the next change."""

    at: int
    status: str
    status_at: int | None = None
    orders: int = 0
    spent: int = 0
    points: int = 0
    credits: int = 0
    earned: int = 0
    tier: int | None = None
    active_at: int | None = None
    done: tuple[int, ...] = ()
    dob: str | None = None
    dob_at: int | None = None
    marketing: bool = False
    tags: tuple[str, ...] | None = None
    remote_at: int = 0


class Customer:
    """A Shopify customer: who it is, every state it was in, and what drives it in the simulation."""

    __slots__ = (
        "at",
        "bonuses",
        "code",
        "earns",
        "email",
        "expiry_planned",
        "first_name",
        "id",
        "lapses_at",
        "last_name",
        "log",
        "progress",
        "rate",
        "redeems",
        "review_at",
    )

    def __init__(
        self, id: int, at: int, first_name: str, last_name: str, email: str, code: str, state: State
    ) -> None:
        self.id = id
        self.at = at  # when it becomes visible over the API, a little after it exists
        self.first_name = first_name
        self.last_name = last_name
        self.email = email
        self.code = code
        self.log: list[State] = [state]
        self.rate = 0.0  # orders per day while the customer is alive
        self.lapses_at = 0
        self.redeems = 0.0  # how likely an order is followed by a redemption
        self.earns: list[tuple[int, int]] = []  # a heap of (applied at, points) that count towards a tier
        self.progress = 0  # their sum
        self.bonuses = 0  # how many tiers have paid their bonus
        self.expiry_planned = False
        self.review_at: int | None = None  # the next nightly look at the tier

    @property
    def now(self) -> State:
        """The state at the simulation's present."""
        return self.log[-1]

    @property
    def is_member(self) -> bool:
        """Whether the customer takes part at the simulation's present."""
        return self.log[-1].status == "member"


class Row:
    """A row of any list but customers."""

    __slots__ = ("at", "attrs", "changes", "gone_at", "id")

    def __init__(self, id: int, at: int, attrs: Attributes) -> None:
        self.id = id
        self.at = at  # visible from here on
        self.attrs = attrs
        self.changes: list[tuple[int, Attributes]] | None = None
        self.gone_at: int | None = None

    def change(self, at: int, **attrs: Any) -> None:
        """Set attributes from a moment on; moments come in order."""
        if self.changes is None:
            self.changes = []
        self.changes.append((at, attrs))

    def as_of(self, t: int) -> Attributes:
        """The attributes at a moment; do not write into them."""
        if not self.changes or self.changes[0][0] > t:
            return self.attrs
        attrs = dict(self.attrs)
        for at, change in self.changes:
            if at > t:
                break
            attrs.update(change)
        return attrs


class Event(Row):
    """An entry of the points and credits ledger."""

    __slots__ = ("counted", "credits", "customer", "points", "state")

    def __init__(
        self, id: int, at: int, attrs: Attributes, customer: Customer, points: int, credits: int
    ) -> None:
        super().__init__(id, at, attrs)
        self.customer = customer
        self.state = customer.log[-1]  # what the nested customer shows, for ever
        self.points = points
        self.credits = credits
        self.counted = False  # whether the tally holds it, at the simulation's present


class Redemption(Row):
    """A discount code, with the customer and the reward as they were when it was claimed."""

    __slots__ = ("customer", "entry", "reward", "reward_id", "state")

    def __init__(
        self, id: int, at: int, attrs: Attributes, customer: Customer, reward_id: int, reward: Attributes
    ) -> None:
        super().__init__(id, at, attrs)
        self.customer = customer
        self.state = customer.log[-1]
        self.reward_id = reward_id
        self.reward = reward
        self.entry: Event | None = None  # what it cost


class Reward(Row):
    """A reward and the moments at which it was claimed."""

    __slots__ = ("claims",)

    def __init__(self, id: int, at: int, attrs: Attributes) -> None:
        super().__init__(id, at, attrs)
        self.claims: list[int] = []

"""The rows of all lists as the simulation stores them: only attributes with a value, typed, with their history.

A row stores its attributes at creation and every later change, so that it can be shown as of any moment. Times are
milliseconds, credits and money are cents; `shapes` converts them to the API's format.
"""

from __future__ import annotations

from typing import Any, NamedTuple

LISTS: dict[str, str] = {
    # list -> "type" of its rows; that of rewards is a plural in Rivo's documentation
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
    """State of a customer from one moment until the next change."""

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
    """A Shopify customer: identity, history of states, and parameters of its behaviour."""

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
        self.at = at  # when the API first shows it, shortly after its creation
        self.first_name = first_name
        self.last_name = last_name
        self.email = email
        self.code = code
        self.log: list[State] = [state]
        self.rate = 0.0  # orders per day while the customer is active
        self.lapses_at = 0
        self.redeems = 0.0  # probability that an order is followed by a redemption
        self.earns: list[tuple[int, int]] = []  # a heap of (applied at, points) that count towards a tier
        self.progress = 0  # their sum
        self.bonuses = 0  # number of tiers whose bonus has been paid
        self.expiry_planned = False
        self.review_at: int | None = None  # next nightly review of the tier

    @property
    def now(self) -> State:
        """Current state."""
        return self.log[-1]

    @property
    def is_member(self) -> bool:
        """Whether the customer is a member now."""
        return self.log[-1].status == "member"


class Row:
    """A row of any list except customers."""

    __slots__ = ("at", "attrs", "changes", "gone_at", "id")

    def __init__(self, id: int, at: int, attrs: Attributes) -> None:
        self.id = id
        self.at = at  # when the API first shows it
        self.attrs = attrs
        self.changes: list[tuple[int, Attributes]] | None = None
        self.gone_at: int | None = None

    def change(self, at: int, **attrs: Any) -> None:
        """Set attributes from a moment on. Calls must be in order of time."""
        if self.changes is None:
            self.changes = []
        self.changes.append((at, attrs))

    def as_of(self, t: int) -> Attributes:
        """Return the attributes at a moment; do not modify them."""
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
        self.state = customer.log[-1]  # the nested customer never changes
        self.points = points
        self.credits = credits
        self.counted = False  # whether it counts towards the tally now


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
        self.entry: Event | None = None  # ledger entry of its price


class Reward(Row):
    """A reward and the moments at which it was claimed."""

    __slots__ = ("claims",)

    def __init__(self, id: int, at: int, attrs: Attributes) -> None:
        super().__init__(id, at, attrs)
        self.claims: list[int] = []

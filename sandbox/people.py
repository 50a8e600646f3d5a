"""Customers: names, buying behaviour and arrival times."""

from __future__ import annotations

from random import Random

from sandbox.clock import DAY, MINUTE, SECOND, month_of
from sandbox.options import ProgramOptions
from sandbox.rows import Customer, State

# fmt: off
FIRST = (
    "Ada", "Ben", "Chloé", "Dan", "Ella", "Finn", "Grace", "Hana", "Jane", "Kofi", "Lena",
    "Omar", "Priya", "Quinn", "Rosa", "Sam", "Uma", "Wei", "Zoë", "Björn", "美咲", "Łukasz",
)
LAST = (
    "Adams", "Brown", "Chen", "Díaz", "Evans", "García", "Hughes", "Ito", "Jones", "Lopez", "Müller",
    "Nguyen", "O'Brien", "Patel", "Rossi", "Smith", "Xu", "Young", "Zhang",
)
# fmt: on
TAGS: tuple[tuple[str, ...] | None, ...] = (None, (), ("newsletter",), ("vip", "newsletter"), ("wholesale",))

# Orders by month, January first, as a share of the busiest month.
SEASON = (0.5, 0.5, 0.55, 0.55, 0.6, 0.55, 0.5, 0.5, 0.55, 0.6, 1.0, 0.95)

_FOUNDERS = 0.4  # share of the customers who existed before the programme


def season(t: int) -> float:
    """Return how busy the shop is, from 0 to 1."""
    return SEASON[month_of(t) - 1]


def founders(options: ProgramOptions) -> int:
    """Return the number of customers at the start of the history."""
    return min(options.customers, int(options.customers * _FOUNDERS) + 1)


def arrival(options: ProgramOptions, place: int) -> int | None:
    """Return when the n-th customer after the founders arrives; None if the shop does not grow.

    Growth accelerates slightly until `end` and is constant afterwards.
    """
    growth = options.customers - founders(options)
    if not growth:
        return None
    span = options.end_ms - options.start_ms - 5 * MINUTE
    share = place / growth
    grown = share**0.8 if share <= 1 else 1 + 0.8 * (share - 1)
    return options.start_ms + int(grown * span)


def _letters(rng: Random, alphabet: str, count: int) -> str:
    return "".join(alphabet[int(rng.random() * len(alphabet))] for _ in range(count))


def code(rng: Random, prefix: str = "") -> str:
    """Generate a referral code or, with a prefix, a discount code."""
    return prefix + (
        _letters(rng, "0123456789abcdef", 12) if prefix else _letters(rng, "abcdefghjkmnpqrs", 8)
    )


def person(rng: Random, id: int, at: int, is_founder: bool) -> Customer:
    """Generate a customer with its own behaviour: how often it buys, for how long, whether it redeems."""
    first, last = rng.choice(FIRST), rng.choice(LAST)
    plain = f"{first}.{last}".lower().replace("'", "").encode("ascii", "ignore").decode().strip(".")
    orders = min(60, int(rng.lognormvariate(0.7, 0.9))) if is_founder else 0
    state = State(
        at=at,
        status="guest",
        orders=orders,
        spent=sum(int(rng.lognormvariate(8.5, 0.6)) for _ in range(orders)),
        marketing=rng.random() < 0.6,
        tags=TAGS[int(rng.random() * len(TAGS))],
        remote_at=at - int(rng.random() * 200 * DAY) if is_founder else at,
    )
    # Shopify reports new customers with a delay.
    visible = at if is_founder else at + int((30 + 30 * rng.random()) * SECOND)
    customer = Customer(id, visible, first, last, f"{plain}.{id % 1_000_003}@example.com", code(rng), state)
    customer.rate = min(60.0, rng.lognormvariate(2.35, 0.9)) / 365
    customer.lapses_at = at + int(rng.expovariate(1.0) * 460 * DAY)
    customer.redeems = 0.0 if rng.random() < 0.3 else 0.1 + 0.6 * rng.random()
    return customer
